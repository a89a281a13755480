"""XFRM over netlink as octets: no socket in here.

`wire` is the fixed structures of linux/xfrm.h, `attributes` what follows them, `messages` joins
both to one message, `frames` is netlink itself (headers, acknowledgements with their text),
`requests` makes messages from values of `xfrm.model`, `answers` the reverse, `refusals` turns a
kernel's error into an exception with a sentence.
"""
