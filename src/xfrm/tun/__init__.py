"""IPsec without the kernel's: packets come out of a TUN device, go to the peer as ESP, and back.

`spd` decides what is done with a flow, `forward` does it to packets (neither does I/O), `outer`
has the raw sockets, `device` and `routes` the TUN device and what is routed into it, `guard`
refuses what comes past it in clear, `datapath` joins them to a `xfrm.dataplane.Dataplane`.
"""
