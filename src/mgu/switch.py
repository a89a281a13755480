"""A switch port with a RADIUS server behind it: `eapol.aio.authenticator` joined to `radius`.

    python -m mgu.switch -i sw0 --radius 192.0.2.5 --secret-file secret

A line for each change of the port, with what the server wants of it (RFC 3580): a VLAN, say.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from eapol.aio.authenticator import Switch
from eapol.authenticator import Authenticator, AuthenticatorSettings, ServerAsked, ServerVerdict
from eapol.authenticator.server import Answer
from eapol.authenticator.settings import above_zero
from eapol.errors import EapolError
from eapol.events import PortAuthorized
from eapol.notices import printable
from radius import codec
from radius.aio.client import RadiusClient
from radius.eap import Conversation, Reply, Verdict
from radius.errors import Malformed
from radius.events import Answered, Failed, Server
from radius.numbers import AttributeType as A
from radius.packet import Attributes
from wire import files
from wire.secret import Secret

_FRAMED: Final = 2
_ETHERNET: Final = 15
_RADIUS_REQUEST: Final = 1
"""Termination-Action (RFC 2865, 5.29): authenticate again, and do not end the session."""


class PortConversation:
    """What a port's EAP conversations are in RADIUS; without I/O. `attributes` go along with every
    request (RFC 3580, 3)."""

    def __init__(self, servers: Sequence[Server], attributes: Attributes) -> None:
        self._servers = servers
        self._attributes = attributes
        self._conversation = Conversation(b"")
        self._ask = 0

    @property
    def server(self) -> int | None:
        """The only one that may answer, once a conversation has begun."""
        return self._conversation.server

    def request(self, asked: ServerAsked) -> Attributes:
        self._ask = asked.ask
        if asked.first:
            self._conversation = Conversation(asked.identity, self._attributes)
        return self._conversation.request(asked.eap)

    def answer(self, ask: int, found: Answered | Failed) -> Answer:
        """`ask` is the number of the `ServerAsked`. A late answer would bring the State of another
        conversation into this one."""
        if ask != self._ask:
            return Answer(verdict=ServerVerdict.NO_REQUEST)
        if isinstance(found, Failed):
            return Answer(verdict=ServerVerdict.SILENT, reason=found.reason)
        try:
            reply = self._conversation.take(found.packet, found.server)
        except Malformed as error:
            return Answer(verdict=ServerVerdict.FAIL, reason=f"the server's EAP-Message: {error}")
        return self._judged(reply, found)

    def _judged(self, reply: Reply, answer: Answered) -> Answer:
        """RFC 3579, 2.6.3: if RADIUS and EAP contradict each other, access is refused."""
        if reply.contradiction is not None:
            return Answer(verdict=ServerVerdict.FAIL, reason=reply.contradiction)
        match reply.verdict:
            case Verdict.CHALLENGE:
                return Answer(verdict=ServerVerdict.REQUEST, eap=reply.eap)
            case Verdict.REJECT:
                words = f': "{printable(reply.message)}"' if reply.message else ""
                reason = f"the server sent Access-Reject{words}"
                return Answer(verdict=ServerVerdict.FAIL, eap=reply.eap, reason=reason)
            case Verdict.ACCEPT:
                return self._accepted(reply, answer)

    def _accepted(self, reply: Reply, answer: Answered) -> Answer:
        packet = answer.packet
        keys = codec.mppe_keys(packet, answer.authenticator, self._servers[answer.server].secret)
        limit, action = packet.integer(A.SESSION_TIMEOUT), packet.integer(A.TERMINATION_ACTION)
        return Answer(
            verdict=ServerVerdict.SUCCESS,
            eap=reply.eap,
            msk=Secret(keys[0].reveal() + keys[1].reveal()) if keys is not None else None,
            session_timeout=float(limit) if limit is not None else None,
            reauthenticate=action == _RADIUS_REQUEST,
            attributes=codec.named(packet),
        )


class RadiusBackend:
    """`eapol.aio.authenticator.Server`."""

    def __init__(self, client: RadiusClient, attributes: Attributes) -> None:
        self._client = client
        self._conversation = PortConversation(client.core.servers, attributes)

    async def respond(self, asked: ServerAsked) -> Answer:
        attributes = self._conversation.request(asked)
        found = await self._client.ask(attributes, server=self._conversation.server)
        return self._conversation.answer(asked.ask, found)

    def abort(self) -> None:
        """The answer is no longer needed: the port drops it."""


def port_attributes(interface: str, own: str, nas_identifier: str) -> Attributes:
    """What a port says of itself (RFC 3580, 3). `own` is the switch's address."""
    address = ip_address(own)
    nas = A.NAS_IP_ADDRESS if address.version == 4 else A.NAS_IPV6_ADDRESS
    return (
        (nas, address.packed),
        (A.NAS_IDENTIFIER, nas_identifier.encode()),
        (A.NAS_PORT_TYPE, _ETHERNET.to_bytes(4, "big")),
        (A.SERVICE_TYPE, _FRAMED.to_bytes(4, "big")),
        (A.FRAMED_MTU, (1400).to_bytes(4, "big")),
        (A.NAS_PORT_ID, interface.encode()),
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m mgu.switch",
        description="Authenticate supplicants on an interface at a RADIUS server, as a switch.",
        allow_abbrev=False,
    )
    add = made.add_argument
    add("-i", dest="interface", required=True)
    add("--radius", metavar="IP", action="append", required=True, help="several are asked in turn")
    add("--port", type=int, default=1812)
    add("--secret-file", type=Path, required=True, metavar="FILE")
    add("--own-address", default="127.0.0.1", metavar="IP", help="NAS-IP-Address")
    add("--nas-identifier", default="mgu-switch", metavar="NAME")
    add("--reauth", type=above_zero, metavar="SECONDS", help="seconds between authentications")
    return made


async def serve(options: argparse.Namespace) -> None:
    """Until it is cancelled. Raises: EapolError, OSError, ValueError."""
    secret = Secret(files.read(options.secret_file).rstrip(b"\r\n"))
    servers = [
        Server(address=ip_address(each), port=options.port, secret=secret)
        for each in options.radius
    ]
    attributes = port_attributes(options.interface, options.own_address, options.nas_identifier)
    async with RadiusClient(servers) as client:
        switch = Switch(
            options.interface,
            None,
            AuthenticatorSettings(reAuthPeriod=options.reauth),
            server=RadiusBackend(client, attributes),
            authorized=_print_authorized,
            unauthorized=lambda: print("unauthorized", flush=True),
        )
        async with switch:
            print("ready", flush=True)
            await asyncio.Event().wait()


def _print_authorized(port: Authenticator, _: PortAuthorized) -> None:
    wanted = " ".join(f"{name}={value}" for name, value in port.attributes)
    print(f"authorized {port.identity!r} {wanted}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(serve(options))
    except (EapolError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
