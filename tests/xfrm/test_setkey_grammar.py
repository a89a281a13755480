"""Whatever the grammar of setkey(8) makes is read: a generator that follows it."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.written import count, decimal, maybe, said, some, text, word
from wire.source import text_of
from xfrm.setkey.parse import parse
from xfrm.setkey.words import Names

NAMES = Names(
    upper_protocol={"sctp": 132, "gre": 47, "ospf": 89}.get,
    port={"l2tp": 1701, "isakmp": 500, "http": 80}.get,
)

flags = word("-4", "-n", "-4n")
host = word("10.0.0.1", "10.1.0.1", "192.0.2.9")
port_text = word("[500]", "[any]", "[l2tp]", "[http]", "[ 4500 ]")
port = st.one_of(port_text, st.just(""))
end = st.one_of(
    st.tuples(host, port).map("".join),
    said(host, port_text),
)
network = st.one_of(
    st.tuples(host, word("", "/24", "/32", "/0"), port).map("".join),
    said(st.tuples(host, word("/24", "/8")).map("".join), port_text),
    said(host, decimal(0, 32).map(lambda bits: f"/ {bits}")),
)
reqid = count(0, 0xFFFF)
extension = st.one_of(
    said("-m", word("transport", "tunnel", "any")),
    said("-r", count(0, 64)),
    said("-u", reqid),
    said("-f", word("zero-pad", "random-pad", "seq-pad", "nocyclic-seq")),
    said(word("-lh", "-ls", "-bh", "-bs"), count(0, 99999)),
)


def key(octets: int) -> st.SearchStrategy[str]:
    return st.sampled_from(["0x" + "5a" * octets, "0X" + "C3" * octets, '"' + "k" * octets + '"'])


encryption = st.one_of(
    said("-E", "des-cbc", key(8)),
    said("-E", "3des-cbc", key(24)),
    said("-E", word("aes-cbc", "rijndael-cbc"), st.one_of(key(16), key(32))),
    said("-E", "camellia-cbc", key(16)),
    said("-E", "blowfish-cbc", key(16)),
    said("-E", "cast128-cbc", key(16)),
    said("-E", "null", maybe('""')),
)
integrity = st.one_of(
    said("-A", "hmac-md5", key(16)),
    said("-A", "hmac-sha1", key(20)),
    said("-A", word("hmac-sha256", "hmac-sha2-256"), key(32)),
    said("-A", word("hmac-sha512", "hmac-sha2-512"), key(64)),
    said("-A", "hmac-ripemd160", key(20)),
    said("-A", "aes-xcbc-mac", key(16)),
)
spi = count(1, 0xFFFFFFFF)
sa = st.one_of(
    said(word("esp", "esp-udp"), spi, some(extension), encryption, maybe(integrity)),
    said("esp", spi, some(extension), integrity),
    said("ah", spi, some(extension), integrity),
    said("ipcomp", count(1, 0xFFFF), some(extension), "-C", "deflate", maybe("-R")),
)
upper = st.one_of(
    said(word("any", "tcp", "udp", "icmp", "icmp6", "ip4", "sctp", "ospf", "4", "50", "255")),
    said(word("icmp", "icmp6"), word("8,0", "135,0")),
    said("gre", count(0, 0xFFFFFFFF)),
)
level = st.one_of(
    word("default", "use", "require", "unique"), decimal(1, 32767).map(lambda n: f"unique:{n}")
)
transport = st.tuples(word("esp", "ah", "ipcomp"), level).map(lambda r: f"{r[0]}/transport//{r[1]}")
tunnel = st.tuples(
    word("esp", "ah"), word("10.0.0.1-10.0.0.2", "10.0.0.1[4500]-10.0.0.2[4500]"), level
).map(lambda r: f"{r[0]}/tunnel/{r[1]}/{r[2]}")
rule = st.one_of(
    said(transport), said(tunnel), said("esp / tunnel / 10.0.0.1 - 10.0.0.2 / require")
)
priority = st.one_of(
    said(word("low", "def", "high")),
    said(word("low", "def", "high"), word("+", "-"), decimal(0, 999)),
    said(word("low", "high"), word("-5", "+10")),
    said(word("10", "-10", "low+5")),
)
policy = said(
    maybe(word("prio", "priority"), priority),
    st.one_of(said(word("discard", "none")), said("ipsec", some(rule, least=1, most=2))),
)
direction = word("in", "out", "fwd")
statement = st.one_of(
    said(word("add", "update"), maybe(flags), end, end, sa),
    said(word("get", "delete"), maybe(flags), end, end, word("esp", "ah"), spi),
    said("deleteall", end, end, word("esp", "ah", "ipcomp")),
    said("getspi", end, end, word("esp", "ah"), some(extension)),
    said(word("flush", "dump"), maybe(word("esp", "ah", "ipcomp"))),
    said(
        word("spdadd", "spdupdate"), maybe(flags), network, network, upper, "-P", direction, policy
    ),
    said("spddelete", maybe(flags), network, network, upper, "-P", direction, maybe(policy)),
    said(word("spdflush", "spddump")),
)
FILE = text(some(said(statement, ";"), most=5))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(FILE)
def test_whatever_the_grammar_makes_is_read(octets: bytes) -> None:
    wanted = octets.count(b";") - octets.count(b"note;")
    assert len(parse(text_of(octets), NAMES)) == wanted
