"""IPsec in user space: between packets of a TUN device and ESP packets of the peer.

`spd` decides what is done with a flow, `forward` does it to packets (neither does I/O), `outer`
has the raw sockets, `device` and `routes` the TUN device and what is routed into it, `guard`
refuses what comes past it in clear, `datapath` joins them to a `xfrm.dataplane.Dataplane`.
"""
