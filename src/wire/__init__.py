"""Octets and datagrams: what every protocol package stands on. No protocol in here."""
