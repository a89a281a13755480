"""`mgu eapol-test`: the supplicant's EAP peer against a RADIUS server, without a switch."""
