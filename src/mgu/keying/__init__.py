"""Binds the keying daemon to this host: the data plane, addresses, keys for Wireshark."""
