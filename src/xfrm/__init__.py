"""IPsec states and policies: the kernel's over netlink, and a userspace data path (RFC 4301)."""
