"""An insider has a key of its own, and sends in the name of others (K1, K5 to K7, K12).

The gateway serves whoever has a key in psk.txt. A policy belongs to the peer that has proved its
identity: whatever an insider sends, from wherever, it gets no SA of anybody else's.
"""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import chain, count

import pytest

from ike.commands import AddPolicy, EventKind, Level, RemovePolicy, SendDatagram
from ike.config import (
    Config,
    GeneratePolicy,
    Identifier,
    Limits,
    PreSharedKeys,
    Remote,
    Sainfo,
    SainfoId,
    Switch,
)
from ike.events import (
    Acquire,
    DatagramReceived,
    EstablishIsakmp,
    Flush,
    PolicyAdded,
    PolicyRemoved,
    Reload,
    SaExpired,
)
from ike.isakmp.message import Payload
from ike.isakmp.payloads import Delete, Notification
from ike.numbers.doi import IdType
from ike.numbers.isakmp import ExchangeType, NotifyType, PayloadType, ProtocolId
from ike.reqids import GENERATED
from ike.values import Address, Direction, Endpoint, IpsecSa, Mode, PolicyEntry, Protection
from lab.ike_world import Node, World, config, connect, naming, transport, tunnel
from lab.virtual import Weather
from wire.secret import Secret

GATEWAY, BRANCH, INSIDER, NAT = map(
    ip_address, ("192.0.2.1", "198.51.100.2", "198.51.100.3", "203.0.113.7")
)
OFFICE, BRANCH_NET, INSIDER_NET = "10.0.0.0/16", "10.2.0.0/24", "10.3.0.0/24"
KEYS = {BRANCH: Secret(b"of the branch"), INSIDER: Secret(b"of the insider")}


def everybody(nat: Switch = Switch.OFF, **changes: object) -> Config:
    """The gateway's: one `remote anonymous`, a key for each address."""
    anonymous = replace(Remote(name="anonymous", address=None, nat_traversal=nat), **changes)  # type: ignore[arg-type]
    keys = tuple((str(address), key) for address, key in KEYS.items())
    return Config(remotes=(anonymous,), sainfos=(Sainfo(),), keys=PreSharedKeys(keys))


def branch(address: Address, nat: Switch = Switch.OFF, **changes: object) -> Config:
    keys = PreSharedKeys(((str(GATEWAY), KEYS[address]),))
    return replace(config(GATEWAY, nat_traversal=nat, **changes), keys=keys)


def to_branch(local: str = OFFICE, remote: str = BRANCH_NET) -> PolicyEntry:
    """The gateway's policy for the branch."""
    policy = tunnel(GATEWAY, BRANCH, local, remote)
    return replace(policy, protections=(Protection(mode=Mode.TUNNEL, reqid=77),))


class Office:
    """The gateway with a policy for the branch; the branch; an insider who wants its traffic."""

    def __init__(self, nat: Switch = Switch.OFF, *, branch_is_there: bool = True) -> None:
        self.world = World()
        self.gateway = self.world.node("gateway", GATEWAY, everybody(nat))
        self.gateway.policies.append(to_branch())
        if branch_is_there:
            self.branch = self.world.node("branch", BRANCH, branch(BRANCH, nat))
            self.branch.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
        self.insider = self.world.node("insider", INSIDER, branch(INSIDER, nat))
        self.insider.policies.append(tunnel(INSIDER, GATEWAY, BRANCH_NET, OFFICE))

    def of_branch(self) -> list[IpsecSa]:
        """The gateway's SAs for the branch's traffic, or to or from its address."""
        return [
            sa
            for sa in self.gateway.sas.values()
            if sa.reqid == 77 or BRANCH in (sa.source, sa.destination)
        ]

    def insider_knows(self) -> list[IpsecSa]:
        known = {
            command.sa.encryption_key.reveal()
            for command in self.insider.commands
            if hasattr(command, "sa") and isinstance(command.sa, IpsecSa)
        }
        return [sa for sa in self.of_branch() if sa.encryption_key.reveal() in known]


@pytest.mark.parametrize("nat", [Switch.OFF, Switch.ON, Switch.FORCE])
@pytest.mark.parametrize("first", range(7))
@pytest.mark.parametrize("count", [1, 2, 99])
def test_an_insider_that_forges_the_source_of_some_datagrams_gets_no_sa_of_another_peer(
    nat: Switch, first: int, count: int
) -> None:
    """It even sees what the gateway sends to the other peer."""
    office = Office(nat, branch_is_there=False)
    sent = 0

    def forge(datagram: SendDatagram) -> SendDatagram | None:
        nonlocal sent
        if datagram.local.address == INSIDER:
            sent += 1
            if first < sent <= first + count:
                return replace(datagram, local=Endpoint(BRANCH, datagram.local.port))
        if datagram.to.address == BRANCH:
            return replace(datagram, to=Endpoint(INSIDER, datagram.to.port))
        return datagram

    office.world.rewrite = forge
    office.world.tell(office.insider, Acquire(policy=office.insider.policies[0]))
    office.world.run(200)
    assert not office.of_branch()
    assert not office.insider.of(Direction.OUT) or not office.insider_knows()


def test_a_policy_is_not_found_for_a_peer_at_another_address() -> None:
    office = Office()
    assert not connect(office.world, office.insider, 20)
    assert not office.gateway.sas
    assert any("no policy found" in text for text in office.gateway.texts())
    assert connect(office.world, office.branch)
    office.world.run(1)
    assert len(office.of_branch()) == 2
    assert not office.insider_knows()


def test_what_an_insider_deletes_by_name_is_only_its_own() -> None:
    office = Office()
    office.gateway.policies.append(
        replace(tunnel(GATEWAY, INSIDER, OFFICE, INSIDER_NET), remote=INSIDER)
    )
    office.insider.policies.insert(0, tunnel(INSIDER, GATEWAY, INSIDER_NET, OFFICE))
    for node in (office.branch, office.insider):
        assert connect(office.world, node)
    office.world.run(1)
    before = {sa.id for sa in office.of_branch()}
    (sa,) = [sa for peer in office.insider.engine._pad for sa in peer.isakmp_sas]
    cookies = [view.initiator_cookie + view.responder_cookie for view in _isakmp(office.gateway)]
    for spi in {sa.spi for sa in office.gateway.sas.values()}:
        number = spi.to_bytes(4)
        sa.say([Payload(PayloadType.DELETE, bytes(Delete(ProtocolId.ESP, (number,))))])
        unknown = Notification(NotifyType.INVALID_SPI, ProtocolId.ESP, number)
        sa.say([Payload(PayloadType.NOTIFY, bytes(unknown))])
    contact = Notification(NotifyType.INITIAL_CONTACT, ProtocolId.ISAKMP, bytes(sa.cookies))
    sa.say([Payload(PayloadType.NOTIFY, bytes(contact))])
    theirs = [pair for pair in cookies if pair != bytes(sa.cookies)]
    sa.say([Payload(PayloadType.DELETE, bytes(Delete(ProtocolId.ISAKMP, tuple(theirs))))])
    office.world.tell(
        office.insider, SaExpired(sa=office.insider.of(Direction.IN)[0].id, hard=True)
    )
    office.world.run(5)
    assert {sa.id for sa in office.of_branch()} == before
    assert len(_isakmp(office.gateway)) == 2
    assert all(sa.destination != INSIDER for sa in office.gateway.of(Direction.OUT))


def _isakmp(node: Node) -> list:  # type: ignore[type-arg]
    return node.engine.isakmp_sas()


def test_a_claimed_identity_alone_gives_nobody_the_connection_of_another() -> None:
    """The insider says that it is the branch. Its key is found by its own address."""
    office = Office()
    assert connect(office.world, office.branch)
    office.world.run(1)
    claim = Identifier(IdType.IPV4_ADDR, str(BRANCH))
    office.world.tell(office.insider, Reload(config=branch(INSIDER, my_identifier=claim)))
    assert not connect(office.world, office.insider, 20)
    assert EventKind.PHASE1_UP in office.insider.kinds()  # racoon's verify_identifier is off
    assert len(office.of_branch()) == 2
    assert not office.insider_knows()


# --- generate_policy ---


def _generating(*, unique: bool = False) -> Config:
    policy = GeneratePolicy.UNIQUE if unique else GeneratePolicy.ON
    made = everybody(Switch.ON, generate_policy=policy)
    keys = (*made.keys.entries, (str(NAT), KEYS[BRANCH]), ("*", KEYS[INSIDER]))
    return replace(made, keys=PreSharedKeys(keys))


@pytest.mark.parametrize(
    ("inner", "office", "said"),
    [
        ("0.0.0.0/0", "0.0.0.0/0", "a sainfo must name 0.0.0.0/0"),
        ("10.2.0.0/24", OFFICE, "a sainfo must name 10.2.0.0/24"),
        ("10.0.0.53/32", OFFICE, "10.0.0.53/32 is an address on our side"),
        ("192.0.2.1/32", "10.9.0.0/16", "192.0.2.1/32 is an address on our side"),
    ],
)
def test_no_policy_is_generated_that_nothing_bounds(inner: str, office: str, said: str) -> None:
    world = World()
    gateway = world.node("gateway", GATEWAY, _generating())
    client = world.node("client", BRANCH, branch(BRANCH))
    client.policies.append(tunnel(BRANCH, GATEWAY, inner, office))
    assert not connect(world, client, 20)
    assert not gateway.policies
    assert any(said in text for text in gateway.texts())


def test_a_sainfo_that_names_the_peers_network_lets_its_policy_be_generated() -> None:
    world = World()
    named = naming(_generating(), tunnel(GATEWAY, BRANCH, OFFICE, BRANCH_NET))
    gateway = world.node("gateway", GATEWAY, named)
    client = world.node("client", BRANCH, branch(BRANCH))
    client.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
    assert connect(world, client)
    world.run(1)
    (policy,) = gateway.policies
    assert policy.selector.remote == ip_network(BRANCH_NET)
    assert policy.protections[0].reqid in GENERATED


@pytest.mark.parametrize("claim", ["10.2.0.9/32", "10.2.0.0/24", "10.0.0.0/8"])
def test_no_policy_is_generated_for_a_part_of_another_peers(claim: str) -> None:
    world = World()
    made = _generating()
    sainfo = Sainfo(
        local=SainfoId(network=ip_network("172.16.0.0/16")),
        remote=SainfoId(network=ip_network(claim)),
    )
    gateway = world.node("gateway", GATEWAY, replace(made, sainfos=(*made.sainfos, sainfo)))
    gateway.policies.append(to_branch())
    insider = world.node("insider", INSIDER, branch(INSIDER))
    insider.policies.append(tunnel(INSIDER, GATEWAY, claim, "172.16.0.0/16"))
    assert not connect(world, insider, 20)
    assert len(gateway.policies) == 1
    assert any(f"{BRANCH_NET}[any] any is the policy of" in text for text in gateway.texts())
    assert not gateway.sas


class Home:
    """A NAT with clients behind it; `address` is what the gateway sees."""

    def __init__(self, address: Address = NAT) -> None:
        self.address = address
        self.ports: dict[Endpoint, int] = {}

    def __call__(self, datagram: SendDatagram) -> SendDatagram | None:
        if datagram.local.address != GATEWAY:
            port = self.ports.setdefault(datagram.local, 40000 + len(self.ports))
            return replace(datagram, local=Endpoint(self.address, port))
        if datagram.to.address != self.address:
            return None
        for inside, port in self.ports.items():
            if port == datagram.to.port:
                return replace(datagram, to=inside)
        return None


def _clients_at_home(*, unique: bool) -> tuple[World, Home, Node, list[Node]]:
    """Two clients behind one NAT, each for its own inner address; all have the key of `*`."""
    world, home = World(), Home()
    keys = PreSharedKeys((("*", KEYS[BRANCH]),))
    gateway = world.node("gateway", GATEWAY, replace(_generating(unique=unique), keys=keys))
    world.rewrite = home
    clients = []
    for number, address in enumerate((BRANCH, INSIDER)):
        name = Identifier(IdType.FQDN, f"client-{number}")
        own = replace(branch(address, Switch.ON, my_identifier=name), keys=keys)
        client = world.node(f"client {number}", address, own)
        client.policies.append(tunnel(address, GATEWAY, f"192.168.178.2{number}/32", OFFICE))
        clients.append(client)
    return world, home, gateway, clients


@pytest.mark.parametrize("unique", [False, True])
def test_each_of_two_clients_behind_one_nat_is_reached_by_its_own_sa(unique: bool) -> None:
    world, home, gateway, clients = _clients_at_home(unique=unique)
    for client in clients:
        assert connect(world, client)
    world.run(1)
    assert len(gateway.policies) == 2
    assert len({policy.protections[0].reqid for policy in gateway.policies}) == 2
    for client in clients:
        (inbound,) = client.of(Direction.IN)
        (policy,) = [p for p in gateway.policies if p.selector.remote == inbound.selector.local]
        (outbound,) = _by_policy(gateway, policy)
        assert outbound.spi == inbound.spi
        assert outbound.encryption_key == inbound.encryption_key
        assert outbound.udp_destination == home.ports[Endpoint(client.address, 4500)]


def _by_policy(node: Node, policy: PolicyEntry) -> list[IpsecSa]:
    """The outbound SAs that a data plane may use for a policy: by its template, as Linux does."""
    template = policy.protections[0]
    return [
        sa
        for sa in node.of(Direction.OUT)
        if (sa.destination, sa.mode, sa.reqid) == (policy.remote, template.mode, template.reqid)
    ]


def test_the_policy_of_a_client_behind_a_nat_follows_it_to_another_address() -> None:
    world, home, gateway, (client, _) = _clients_at_home(unique=True)
    assert connect(world, client)
    world.run(1)
    elsewhere = ip_address("203.0.113.99")
    home.address = elsewhere
    world.tell(client, SaExpired(sa=client.of(Direction.IN)[0].id, hard=False))
    world.run(20)
    (policy,) = gateway.policies
    assert policy.remote == elsewhere
    (outbound,) = _by_policy(gateway, policy)
    assert outbound.spi in {sa.spi for sa in client.of(Direction.IN)}
    world.run(60)
    assert {sa.destination for sa in gateway.of(Direction.OUT)} == {elsewhere}


def test_a_client_that_comes_back_from_another_address_takes_its_policy_along() -> None:
    """By a phase 1 of its own: the name in psk.txt is what it proves, not the address."""
    keys = PreSharedKeys((("client.example", KEYS[BRANCH]),))
    modes = (ExchangeType.AGGRESSIVE,)
    world = World()
    served = replace(_generating(), keys=keys)
    remote = replace(served.remotes[0], exchange_modes=modes)
    gateway = world.node("gateway", GATEWAY, replace(served, remotes=(remote,)))
    name = Identifier(IdType.FQDN, "client.example")
    own = replace(
        branch(BRANCH, exchange_modes=modes, my_identifier=name),
        keys=PreSharedKeys(((str(GATEWAY), KEYS[BRANCH]),)),
    )
    client = world.node("client", BRANCH, own)
    client.policies.append(tunnel(BRANCH, GATEWAY, "192.168.178.20/32", OFFICE))
    assert connect(world, client)
    world.remove(client)
    again = world.node("client", INSIDER, own)
    again.policies.append(tunnel(INSIDER, GATEWAY, "192.168.178.20/32", OFFICE))
    assert connect(world, again)
    world.run(30)
    (policy,) = gateway.policies
    assert policy.remote == INSIDER
    (outbound,) = _by_policy(gateway, policy)
    assert outbound.spi in {sa.spi for sa in again.of(Direction.IN)}


def test_an_established_peer_does_not_move_to_the_address_of_another_remote() -> None:
    world = World()
    served = everybody(Switch.FORCE)
    named = Remote(name="branch", address=BRANCH, nat_traversal=Switch.FORCE)
    gateway = world.node("gateway", GATEWAY, replace(served, remotes=(named, *served.remotes)))
    gateway.policies.append(tunnel(GATEWAY, INSIDER, OFFICE, INSIDER_NET))
    insider = world.node("insider", INSIDER, branch(INSIDER, Switch.ON))
    insider.policies.append(tunnel(INSIDER, GATEWAY, INSIDER_NET, OFFICE))
    assert connect(world, insider)
    world.run(1)
    (before,) = gateway.engine.isakmp_sas()
    world.rewrite = lambda d: (
        replace(d, local=Endpoint(BRANCH, 4500)) if d.local.address == INSIDER else d
    )
    world.tell(insider, SaExpired(sa=insider.of(Direction.IN)[0].id, hard=False))
    world.run(5)
    assert gateway.engine.isakmp_sas()[0].remote == before.remote


def test_generated_policies_of_one_peer_are_bounded() -> None:
    world = World()
    limits = Limits(connections_per_peer=3)
    gateway = world.node("gateway", GATEWAY, replace(_generating(), limits=limits))
    client = world.node("client", BRANCH, branch(BRANCH))
    up = 0
    for number in range(6):
        client.policies.insert(0, tunnel(BRANCH, GATEWAY, f"172.31.0.{number}/32", OFFICE))
        up += connect(world, client, 20)
    assert up == 3
    assert len(gateway.policies) == 3
    assert not any(isinstance(c, AddPolicy) for c in gateway.commands[-3:])


def test_a_forged_first_message_in_a_peers_name_moves_nothing() -> None:
    office = Office()
    assert connect(office.world, office.branch)
    office.world.run(1)
    before = office.gateway.engine.isakmp_sas()
    taped = [d.octets for d in office.world.datagrams if d.local.address == BRANCH]
    for octets in taped:
        for source in (Endpoint(INSIDER, 500), Endpoint(BRANCH, 501)):
            heard = DatagramReceived(octets=octets, source=source, local=Endpoint(GATEWAY, 500))
            office.world.tell(office.gateway, heard)
    office.world.run(5)
    established = [v for v in office.gateway.engine.isakmp_sas() if v.created]
    assert [v.remote for v in established] == [v.remote for v in before]


def test_a_policy_stays_with_its_address_when_the_peer_there_has_moved_away() -> None:
    """Who comes to the address after it, and proves to be there, may have the policy."""
    modes = (ExchangeType.AGGRESSIVE,)
    names = {name: Secret(name.encode()) for name in ("first", "second")}
    served = everybody(exchange_modes=modes)
    world = World()
    keys = PreSharedKeys(tuple(names.items()))
    gateway = world.node("gateway", GATEWAY, replace(served, keys=keys))
    gateway.policies.append(to_branch())

    def node(name: str, address: Address) -> Node:
        identifier = Identifier(IdType.FQDN, name)
        own = branch(address, exchange_modes=modes, my_identifier=identifier)
        key = PreSharedKeys(((str(GATEWAY), names[name]),))
        made = world.node(name, address, replace(own, keys=key))
        made.policies.append(tunnel(address, GATEWAY, BRANCH_NET, OFFICE))
        return made

    first = node("first", BRANCH)
    assert connect(world, first)
    world.remove(first)
    moved = node("first", INSIDER)
    assert not connect(world, moved, 20)  # the policy is for the other address
    world.tell(gateway, SaExpired(sa=gateway.of(Direction.IN)[0].id, hard=True))
    world.run(1)
    second = node("second", BRANCH)
    assert connect(world, second, 20)
    world.run(1)
    assert {sa.destination for sa in gateway.of(Direction.OUT)} == {BRANCH}


# --- a move is no proof ---


def _moved_to(office: Office, address: Address) -> None:
    """One datagram of the insider, who is established, comes from this address."""
    asked = EstablishIsakmp(local=Endpoint(INSIDER, 500), remote=GATEWAY)
    office.world.tell(office.insider, asked)
    office.world.run(5)
    office.world.rewrite = lambda d: (
        replace(d, local=Endpoint(address, d.local.port)) if d.local.address == INSIDER else d
    )
    assert not connect(office.world, office.insider, 5)


def test_who_only_seems_to_have_moved_to_an_address_gets_no_policy_that_comes_for_it() -> None:
    office = Office(Switch.FORCE, branch_is_there=False)
    office.gateway.policies.clear()
    office.world.tell(office.insider, Reload(config=branch(INSIDER, Switch.ON, dpd=False)))
    _moved_to(office, BRANCH)
    assert [view.remote.address for view in office.gateway.engine.isakmp_sas()] == [BRANCH]
    office.gateway.policies.append(to_branch())
    office.world.run(1)
    office.world.rewrite = lambda d: (
        replace(d, to=Endpoint(INSIDER, d.to.port)) if d.to.address == BRANCH else d
    )
    office.world.tell(office.gateway, Acquire(policy=office.gateway.policies[0]))
    office.world.run(40)
    assert not office.insider_knows()
    office.world.rewrite = lambda d: d
    there = office.world.node("branch", BRANCH, branch(BRANCH, Switch.ON))
    there.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
    assert connect(office.world, there)


@pytest.mark.parametrize("victim", ["10.2.0.9", "10.0.0.53", "9.9.9.9"])
def test_a_policy_for_a_peers_own_address_does_not_follow_a_datagram_elsewhere(victim: str) -> None:
    world = World()
    served = _generating()
    forced = replace(served.remotes[0], nat_traversal=Switch.FORCE)
    gateway = world.node("gateway", GATEWAY, replace(served, remotes=(forced,)))
    gateway.policies.append(to_branch())
    insider = world.node("insider", INSIDER, branch(INSIDER, Switch.ON))
    insider.policies.append(tunnel(INSIDER, GATEWAY, f"{INSIDER}/32", OFFICE))
    assert connect(world, insider)
    world.run(1)
    before = list(gateway.policies)
    seen = Endpoint(ip_address(victim), 4500)
    world.rewrite = lambda d: replace(d, local=seen) if d.local.address == INSIDER else d
    world.tell(insider, SaExpired(sa=insider.of(Direction.IN)[0].id, hard=False))
    world.run(5)
    assert gateway.policies == before


# --- one policy for the same traffic ---


def test_no_policy_is_generated_in_the_place_of_one_that_asks_for_more() -> None:
    """The data plane would replace it, and have none when the peer goes."""
    world = World()
    gateway = world.node("gateway", GATEWAY, _generating())
    host = "10.2.0.9/32"
    configured = to_branch(remote=host)
    gateway.policies.append(configured)
    client = world.node("client", BRANCH, branch(BRANCH))
    weaker = (Protection(protocol=ProtocolId.AH, mode=Mode.TUNNEL),)
    client.policies.append(replace(tunnel(BRANCH, GATEWAY, host, OFFICE), protections=weaker))
    assert not connect(world, client, 20)
    assert gateway.policies == [configured]
    assert not any(isinstance(command, AddPolicy) for command in gateway.commands)


def test_news_of_a_policy_that_was_replaced_meanwhile_are_not_about_the_new_one() -> None:
    world = World()
    gateway = world.node("gateway", GATEWAY, _generating())
    client = world.node("client", BRANCH, branch(BRANCH))
    client.policies.append(tunnel(BRANCH, GATEWAY, "10.2.0.9/32", OFFICE))
    assert connect(world, client)
    world.run(1)
    (old,) = gateway.policies
    world.tell(client, Flush())
    world.run(1)
    assert connect(world, client)
    world.run(1)
    (new,) = gateway.policies
    assert new != old
    world.tell(gateway, PolicyRemoved(policy=old))
    world.tell(gateway, PolicyAdded(policy=new, generated=True))
    world.run(1)
    world.tell(client, Flush())
    world.run(1)
    assert not gateway.policies


def test_a_policy_that_follows_its_peer_is_replaced_and_at_no_moment_away() -> None:
    world, home, gateway, (client, _) = _clients_at_home(unique=True)
    assert connect(world, client)
    world.run(1)
    home.address = ip_address("203.0.113.99")
    world.tell(client, SaExpired(sa=client.of(Direction.IN)[0].id, hard=False))
    world.run(20)
    assert [policy.remote for policy in gateway.policies] == [home.address]
    assert not any(isinstance(command, RemovePolicy) for command in gateway.commands)


# --- a configuration that is read again ---


def test_clients_behind_a_nat_that_gets_a_remote_of_its_own_stay_apart() -> None:
    world, _, gateway, clients = _clients_at_home(unique=True)
    for client in clients:
        assert connect(world, client)
    world.run(1)
    before = gateway.engine.config
    named = replace(before.remotes[0], name="nat", address=NAT)
    world.tell(gateway, Reload(config=replace(before, remotes=(named, *before.remotes))))
    world.tell(clients[1], Flush(ipsec=False))
    world.run(1)
    assert connect(world, clients[1], 20)
    world.run(2)
    peers = list(gateway.engine._pad)
    assert [len(peer.connections) for peer in peers] == [1, 1]
    for peer in peers:
        assert len({str(sa.facts.peer_id) for sa in peer.isakmp_sas}) <= 1


@pytest.mark.parametrize("what", ["remotes", "keys"])
def test_who_was_not_authenticated_yet_is_not_by_a_configuration_that_is_gone(what: str) -> None:
    office = Office()
    held: list[SendDatagram] = []

    def hold(datagram: SendDatagram) -> SendDatagram | None:
        if datagram.local.address == BRANCH:
            held.append(datagram)
        return None if len(held) > 2 and datagram.local.address == BRANCH else datagram

    office.world.rewrite = hold
    office.world.tell(office.branch, Acquire(policy=office.branch.policies[0]))
    assert office.world.run(5, lambda: len(held) == 3)
    gone: Config = replace(office.gateway.engine.config, **{what: type(getattr(Config(), what))()})
    office.world.tell(office.gateway, Reload(config=gone))
    office.world.rewrite = lambda d: d
    office.world.run(30)
    assert EventKind.PHASE1_UP not in office.gateway.kinds()
    assert not office.gateway.sas


def test_a_policy_is_served_by_whichever_remote_of_its_address_the_peer_has() -> None:
    """Two remotes of one address are told apart by their ports."""
    world = World()
    remotes = tuple(Remote(name=f"{n}", address=BRANCH, port=n) for n in (500, 501))
    gateway = world.node("gateway", GATEWAY, replace(everybody(), remotes=remotes))
    gateway.policies.append(to_branch())
    client = world.node("branch", BRANCH, branch(BRANCH))
    client.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
    world.rewrite = lambda d: (
        replace(d, local=Endpoint(BRANCH, 501))
        if d.local.address == BRANCH
        else replace(d, to=Endpoint(BRANCH, 500))
    )
    assert connect(world, client, 20)


def test_a_client_that_is_gone_leaves_nothing_behind_where_nobody_renews() -> None:
    world = World()
    keys = PreSharedKeys((("*", KEYS[BRANCH]),))
    made = replace(_generating(), keys=keys, sainfos=(Sainfo(lifetime_seconds=100),))
    remote = replace(made.remotes[0], lifetime_seconds=50, passive=True)
    gateway = world.node("gateway", GATEWAY, replace(made, remotes=(remote,)))
    for number in range(3):
        address = ip_address(f"203.0.113.{number}")
        own = replace(branch(BRANCH, lifetime_seconds=50), sainfos=made.sainfos)
        client = world.node(f"client {number}", address, own)
        client.policies.append(tunnel(address, GATEWAY, f"172.31.0.{number}/32", OFFICE))
        assert connect(world, client)
        world.remove(client)
    world.run(400)
    assert not gateway.sas
    assert not list(gateway.engine._pad)


def test_who_takes_the_spi_of_another_behind_the_same_nat_is_refused_and_changes_nothing() -> None:
    world, _, gateway, clients = _clients_at_home(unique=True)
    assert connect(world, clients[0])
    world.run(1)
    (theirs,), (inbound,) = gateway.of(Direction.OUT), gateway.of(Direction.IN)
    gateway.refuse = lambda sa: sa.id in gateway.sas
    world._spi = chain([theirs.spi], count(0x9000))
    connect(world, clients[1], 20)
    world.run(2)
    assert any("refused an SA" in text for text in gateway.texts())
    world.tell(gateway, SaExpired(sa=theirs.id, hard=True))
    world.run(1)
    assert inbound.id not in gateway.sas


# --- many at one address ---


def test_a_hundred_clients_behind_one_nat_that_begin_at_once_all_come_up() -> None:
    world = World(weather=Weather(delay=0.02))
    keys = PreSharedKeys((("*", KEYS[BRANCH]),))
    world.node("gateway", GATEWAY, replace(_generating(), keys=keys))
    world.rewrite = Home()
    clients = []
    for number in range(100):
        address, name = ip_address("198.18.0.1") + number, f"client-{number}"
        own = branch(BRANCH, Switch.ON, my_identifier=Identifier(IdType.FQDN, name))
        client = world.node(name, address, own)
        client.policies.append(tunnel(address, GATEWAY, f"192.168.178.{number}/32", OFFICE))
        world.tell(client, Acquire(policy=client.policies[0]), number * 0.001)
        clients.append(client)
    assert world.run(30, lambda: all(client.sas for client in clients))


def test_first_messages_in_the_name_of_a_distant_peer_do_not_keep_it_out() -> None:
    """As many as are looked at; a round trip takes 0.3 s."""
    world = World(weather=Weather(delay=0.15))
    named = replace(everybody(), remotes=(Remote(name="branch", address=BRANCH),))
    gateway = world.node("gateway", GATEWAY, named)
    gateway.policies.append(to_branch())
    there = world.node("branch", BRANCH, branch(BRANCH))
    there.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
    world.tell(there, Acquire(policy=there.policies[0]))
    world.run(0.1)
    first = world.datagrams[0].octets
    world.remove(there)
    there = world.node("branch again", BRANCH, branch(BRANCH))
    there.policies.append(tunnel(BRANCH, GATEWAY, BRANCH_NET, OFFICE))
    forged = {"source": Endpoint(BRANCH, 500), "local": Endpoint(GATEWAY, 500)}
    for number in range(60 * 40):
        octets = number.to_bytes(8) + first[8:]
        world.tell(gateway, DatagramReceived(octets=octets, **forged), number / 60)  # type: ignore[arg-type]
    world.run(2)
    assert connect(world, there, 30)


def test_a_thousand_names_with_one_key_are_no_thousand_shares() -> None:
    """Who has a key may call itself anything; what it can hold is counted by the key."""
    world = World()
    limits = Limits(connections_per_peer=3, per_proof=10)
    gateway = world.node("gateway", GATEWAY, replace(_generating(), limits=limits))
    insider = world.node("insider", INSIDER, branch(INSIDER))
    for number in range(30):
        name = Identifier(IdType.FQDN, f"name-{number}")
        world.tell(insider, Flush())
        world.run(1)
        world.tell(insider, Reload(config=branch(INSIDER, my_identifier=name)))
        insider.policies.insert(0, tunnel(INSIDER, GATEWAY, f"172.31.0.{number}/32", OFFICE))
        world.rewrite = lambda d: None if d.octets[18] == ExchangeType.INFORMATIONAL else d
        connect(world, insider, 20)
    assert len(list(gateway.engine._pad)) <= 12
    assert len(gateway.policies) <= 10
    assert len(gateway.engine.isakmp_sas()) <= 12


@pytest.mark.parametrize("office", [OFFICE, "0.0.0.0/0"])
def test_no_policy_is_generated_for_a_host_on_our_side_of_any_policy(office: str) -> None:
    world = World()
    gateway = world.node("gateway", GATEWAY, _generating())
    gateway.policies.append(to_branch())
    insider = world.node("insider", INSIDER, branch(INSIDER))
    insider.policies.append(tunnel(INSIDER, GATEWAY, "10.0.0.53/32", office))
    assert not connect(world, insider, 20)
    assert len(gateway.policies) == 1
    assert any("10.0.0.53/32 is an address on our side" in text for text in gateway.texts())


def test_what_an_insider_proposes_writes_few_lines() -> None:
    office = Office()
    insider = office.insider
    for number in range(60):
        insider.policies.insert(0, tunnel(INSIDER, GATEWAY, f"172.31.0.{number}/32", OFFICE))
        office.world.tell(insider, Acquire(policy=insider.policies[0]))
    office.world.run(2)
    lines = [log for log in office.gateway.logs if log.level >= Level.INFO]
    assert len(lines) < 70  # of 60 proposals, and the refusal of each


@pytest.mark.parametrize("taken", [False, True])
def test_a_policy_for_the_peers_own_address_goes_along_unless_that_is_somebody_elses(
    taken: bool,
) -> None:
    """The peer comes back from another address, and proves its name there."""
    modes = (ExchangeType.AGGRESSIVE,)
    keys = PreSharedKeys((("client.example", KEYS[BRANCH]),))
    served = replace(_generating(), keys=keys)
    remote = replace(served.remotes[0], exchange_modes=modes)
    world = World()
    gateway = world.node("gateway", GATEWAY, replace(served, remotes=(remote,)))
    own = replace(
        branch(
            BRANCH,
            exchange_modes=modes,
            my_identifier=Identifier(IdType.FQDN, "client.example"),
        ),
        keys=PreSharedKeys(((str(GATEWAY), KEYS[BRANCH]),)),
    )
    client = world.node("client", BRANCH, own)
    client.policies.append(transport(BRANCH, GATEWAY))
    assert connect(world, client)
    if taken:
        gateway.policies.append(tunnel(GATEWAY, NAT, OFFICE, f"{INSIDER}/32"))
    world.remove(client)
    again = world.node("client", INSIDER, own)
    world.tell(again, EstablishIsakmp(local=Endpoint(INSIDER, 500), remote=GATEWAY))
    world.run(5)
    generated = [p for p in gateway.policies if p.protections[0].reqid in GENERATED]
    assert {p.selector.remote for p in generated} <= {ip_network(BRANCH if taken else INSIDER)}
    assert generated or taken
