"""ESP and AH (RFC 4303, RFC 4302) over octets, without I/O.

This is the packet path, where an object per packet would cost a third of the time: a packet is
`bytes`, an SA is one object for its lifetime, and what an SA does to a packet is a closure made
once from its keys. `packet` knows IP headers, `transform` and `ah` the cryptography, `replay` the
sequence numbers of both directions, `sad` the SAs.
"""
