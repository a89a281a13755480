"""Network Time Security -- RFC 8915: keys from TLS, and NTP packets under them."""
