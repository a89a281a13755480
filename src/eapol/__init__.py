"""IEEE 802.1X for wired ports: a supplicant with EAP-TLS, and a small authenticator.

Without I/O: `eapol.supplicant.Supplicant` and `eapol.authenticator.Authenticator` (events and
commands in `eapol.events`, what they tell in `eapol.notices`, what they are set to in
`eapol.settings`). On an interface, with asyncio: `eapol.aio.driver.Supervisor` and
`eapol.aio.authenticator.Switch`. Files: `eapol.config`. The control interface of wpa_supplicant:
`eapol.control`, `eapol.aio.control`.
"""
