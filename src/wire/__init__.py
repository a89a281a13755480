"""Octets, datagrams and files: what every protocol package stands on. No protocol in here."""
