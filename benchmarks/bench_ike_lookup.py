"""IKE: what it costs to find a sainfo, a remote and a pre-shared key among 10, 1,000 and 10,000."""

from ipaddress import ip_address, ip_network

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from ike.config import Config, PreSharedKeys, Remote, Sainfo, SainfoId
from ike.doi.identity import traffic_identity
from ike.doi.sainfo import SainfoIndex
from wire.secret import Secret

many = pytest.mark.parametrize("number", [10, 1_000, 10_000])


@many
def test_sainfo(benchmark: BenchmarkFixture, number: int) -> None:
    here, there = (
        [ip_network((first + at * 256, 24)) for at in range(number)]
        for first in (0x0A000000, 0x0B000000)
    )
    index = SainfoIndex(
        Sainfo(local=SainfoId(network=one), remote=SainfoId(network=other))
        for one, other in zip(here, there, strict=True)
    )
    last = (traffic_identity(here[-1], 0, 0), traffic_identity(there[-1], 0, 0))
    assert benchmark(index.find, *last, 0) is not None


@many
def test_remote(benchmark: BenchmarkFixture, number: int) -> None:
    addresses = [ip_address(0x0A000000 + at) for at in range(number)]
    config = Config(remotes=tuple(Remote(name=str(a), address=a) for a in addresses))
    assert benchmark(config.remote_for, addresses[-1], 500) is not None


@many
def test_pre_shared_key(benchmark: BenchmarkFixture, number: int) -> None:
    names = [str(ip_address(0x0A000000 + at)) for at in range(number)]
    keys = PreSharedKeys(tuple((name, Secret(b"key")) for name in names))
    assert benchmark(keys.find, names[-1], "gw.example") is not None
