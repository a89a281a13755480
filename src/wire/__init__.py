"""What all packages stand on: octets, datagrams, files, the host's network. No protocol in here."""
