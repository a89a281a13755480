"""The IPsec connections that `ipsec` creates and the keying daemon serves: values and files."""
