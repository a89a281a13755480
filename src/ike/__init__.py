"""IKE version 1 (RFC 2407, 2408, 2409; NAT traversal RFC 3947; DPD RFC 3706), both roles.

`ike.engine.Engine` is the whole protocol without I/O: it takes events (`ike.events`) and gives
commands (`ike.commands`); it is configured with values (`ike.config`), and uses SAs and selectors
as values (`ike.values`). Its driver owns sockets, clocks and the data plane: `ike.aio` does
so for asyncio, `tests/lab/ike_world.py` for a network in memory.
"""
