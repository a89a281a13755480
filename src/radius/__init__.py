"""RADIUS, the client's side: RFC 2865, 2869, 3579 (EAP), 5080 (repetition), 5997, 6614 (TLS).

Without I/O: `radius.client.Client` asks servers (events and commands in `radius.events`), and
`radius.eap.Conversation` is what one EAP conversation keeps. On sockets, with asyncio:
`radius.aio.client.RadiusClient`. Needs the extra `radius` (pyrad).
"""
