"""What all packages use: octets, datagrams, files, the host's network. No protocol in here."""
