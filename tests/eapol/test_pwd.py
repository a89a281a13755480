"""EAP-pwd: RFC 5931. A server in memory, and what it must not get away with."""

import hashlib
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eapol import mschap
from eapol.dragonfly import GROUPS, Commitment, h, kdf, password_element
from eapol.eap import EapType
from eapol.errors import MalformedFrame
from eapol.methods.pwd import Exchange, PwdPacket, session_keys
from eapol.settings import Network, Password
from lab.eap_talk import PASSWORD, USER, Talk, user
from wire.secret import Secret

SERVER = b"radius@example.test"
TOKEN = b"abcd"


class Server:
    """`password` as it was prepared."""

    def __init__(
        self,
        network: Network | None = None,
        *,
        group: int = 19,
        password: bytes = PASSWORD,
        preparation: int = 0,
        size: int = 1000,
    ) -> None:
        self.talk = Talk(network or user(EapType.PWD))
        self.size = size
        self.group = GROUPS[group]
        self.suite = group.to_bytes(2, "big") + b"\1\1"
        proposal = self.suite + TOKEN + bytes((preparation,))
        answered = self.ask(Exchange.ID, proposal + SERVER)
        assert answered == proposal + USER
        made = password_element(self.group, TOKEN, USER, SERVER, Secret(password))
        self.ours = Commitment(self.group, made, os.urandom)

    def ask(self, exchange: Exchange, data: bytes) -> bytes:
        """A message, in fragments of `size`; the answer."""
        parts = [data[at : at + self.size] for at in range(0, len(data), self.size)]
        for number, part in enumerate(parts):
            total = len(data) if number == 0 and len(parts) > 1 else None
            packet = PwdPacket(exchange, part, total, more=number + 1 < len(parts))
            response = self.talk.ask(EapType.PWD, bytes(packet))
            if response is None:
                return b""
            answer = PwdPacket.parse(response.data)
            assert answer.exchange == exchange
        return answer.data

    def commit(self, message: bytes | None = None) -> bytes:
        self.own = message or self.ours.element + self.ours.scalar_octets
        self.theirs = self.ask(Exchange.COMMIT, self.own)
        return self.theirs

    def confirm(self) -> bool:
        """Whether both sides had the same password."""
        at = 2 * self.group.octets
        scalar = int.from_bytes(self.theirs[at:], "big")
        self.secret = self.ours.secret(scalar, self.theirs[:at]).reveal()
        self.mine = h(self.secret, self.own, self.theirs, self.suite)
        self.their_confirm = self.ask(Exchange.CONFIRM, self.mine)
        return self.their_confirm == h(self.secret, self.theirs, self.own, self.suite)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("size", [1000, 50])
def test_both_sides_have_the_same_keys(group: int, size: int) -> None:
    server = Server(group=group, size=size)
    server.commit()
    assert server.confirm()
    assert server.talk.success()
    at = 2 * server.group.octets
    method = h(server.suite, server.theirs[at:], server.ours.scalar_octets)
    expected = session_keys(server.secret, server.their_confirm, server.mine, method)
    assert server.talk.keys is not None
    assert server.talk.keys.msk == expected.msk
    assert server.talk.keys.emsk == expected.emsk
    assert server.talk.keys.session_id == expected.session_id


def test_a_hash_of_the_password_is_enough_where_the_server_has_one() -> None:
    hashed = mschap.nt_password_hash(PASSWORD)
    twice = mschap.hash_nt_password_hash(hashed).reveal()
    for password in (Password(Secret(PASSWORD)), Password(hashed, hashed=True)):
        network = Network(eap=(EapType.PWD,), identity=USER, password=password)
        server = Server(network, password=twice, preparation=1)
        server.commit()
        assert server.confirm()
        assert server.talk.success()


def test_a_server_that_does_not_know_the_password_is_refused() -> None:
    server = Server(password=b"a guess")
    server.commit()
    assert not server.confirm()
    assert not server.talk.success()
    assert "did not prove that it knows our password" in server.talk.failure


def test_success_before_the_confirmation_is_refused() -> None:
    server = Server()
    assert not server.talk.success()
    server = Server()
    server.commit()
    assert not server.talk.success()


def test_a_reflected_commitment_is_refused() -> None:
    """RFC 5931, 2.8.5.2: who sends ours back would be answered by our own proof."""
    network = user(EapType.PWD)
    seen = Commitment(
        GROUPS[19], password_element(GROUPS[19], TOKEN, USER, SERVER, Secret(PASSWORD)), bytes
    )
    talk = Talk(network, entropy=bytes)
    server = Server.__new__(Server)
    server.talk, server.size = talk, 1000
    server.ask(Exchange.ID, b"\0\x13\1\1" + TOKEN + b"\0" + SERVER)
    assert server.commit(seen.element + seen.scalar_octets) == b""
    assert not talk.success()


@pytest.mark.parametrize(
    "element", [bytes(64), b"\xff" * 64, bytes(31) + b"\1" + bytes(31) + b"\1"]
)
def test_an_element_that_is_not_on_the_curve_is_refused(element: bytes) -> None:
    server = Server()
    assert server.commit(element + server.ours.scalar_octets) == b""
    assert not server.talk.success()


@pytest.mark.parametrize("scalar", [0, 1, GROUPS[19].order])
def test_a_scalar_out_of_range_is_refused(scalar: int) -> None:
    server = Server()
    assert server.commit(server.ours.element + scalar.to_bytes(32, "big")) == b""
    assert not server.talk.success()


@pytest.mark.parametrize(
    ("change", "says"), [(b"\0\x01\1\1", "group 1"), (b"\0\x13\2\1", "group 19")]
)
def test_a_suite_that_we_do_not_have_is_refused_by_name(change: bytes, says: str) -> None:
    talk = Talk(user(EapType.PWD))
    talk.ask(EapType.PWD, b"\1" + change + TOKEN + b"\0" + SERVER)
    assert not talk.success()
    assert says in talk.failure


@pytest.mark.parametrize("group", GROUPS)
@settings(max_examples=10, deadline=None)
@given(password=st.binary(max_size=20))
def test_every_password_has_an_element_on_the_curve(group: int, password: bytes) -> None:
    made = password_element(GROUPS[group], TOKEN, USER, SERVER, Secret(password))
    assert GROUPS[group].decoded(GROUPS[group].encoded(made)) == made


def test_the_kdf_counts_blocks_and_cuts_bits() -> None:
    """Recomputed by hand from RFC 5931, 2.5, with hashlib only."""
    block = hashlib.sha256
    inner, outer = bytes(x ^ 0x36 for x in bytes(64)), bytes(x ^ 0x5C for x in bytes(64))

    def prf(message: bytes) -> bytes:
        return block(outer + block(inner + message).digest()).digest()

    first = prf(b"\0\1" + b"label" + b"\1\x09")
    second = prf(first + b"\0\2" + b"label" + b"\1\x09")
    assert kdf(bytes(32), b"label", 265) == first + second[:1] + bytes((second[1] & 0x80,))


@given(st.binary(max_size=60))
def test_octets_are_a_packet_or_malformed(octets: bytes) -> None:
    try:
        packet = PwdPacket.parse(octets)
    except MalformedFrame:
        return
    assert bytes(packet) == octets


@pytest.mark.parametrize("number", GROUPS)
def test_the_point_with_x_zero_is_one_and_the_neutral_element_is_none(number: int) -> None:
    group = GROUPS[number]
    y = pow(group.b, (group.prime + 1) // 4, group.prime)  # b is a square in each of them
    encoded = bytes(group.octets) + y.to_bytes(group.octets, "big")
    assert group.encoded(group.decoded(encoded)) == encoded
    for x, wrong in ((0, 0), (0, y ^ 1), (group.prime, y), (0, group.prime + y)):
        with pytest.raises(MalformedFrame, match="not on the curve"):
            group.point(x, wrong)
    with pytest.raises(MalformedFrame, match=f"an element of {len(encoded) - 1} octets"):
        group.decoded(encoded[1:])
