"""A server that floods: `python tests/lab/ntp_flood.py PORT [GOOD_AFTER]`.

Prints "ready"; whoever asks is sent forged answers as fast as one process can, without end, or
with an honest one after GOOD_AFTER of them.
"""

import socket
import sys
import time

from ntp.messages import Address
from ntp.packet import Header, Mode
from ntp.server import Datagram, Server, Settings


def main() -> None:
    port = int(sys.argv[1])
    good_after = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    server = Server(Settings(date=time.time_ns(), at=time.monotonic()))
    forged = bytes(Header(Mode.SERVER, stratum=1, origin=1, receive=1, transmit=1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", port))
        print("ready", flush=True)
        octets, source = link.recvfrom(2048)
        sent = 0
        while True:
            link.sendto(forged, source)
            sent += 1
            if sent == good_after:
                asked = Datagram(octets=octets, source=Address(*source))
                for reply in server.handle(asked, time.monotonic()):
                    link.sendto(reply.octets, source)
                link.settimeout(60)
                octets, source = link.recvfrom(2048)
                sent = 0


if __name__ == "__main__":
    main()
