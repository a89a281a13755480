"""Fixtures of the lab, and its hooks (see lab/plugin.py)."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import hypothesis
import pytest

from lab import plugin
from lab.netns import Namespace, Veth

# How long an example takes says more about the machine's load than about the code.
hypothesis.settings.register_profile("gateway", deadline=None)
hypothesis.settings.load_profile("gateway")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(plugin)


@pytest.fixture
def make_host() -> Iterator[Callable[[str], Namespace]]:
    """Makes namespaces that go with the test: make_host("gateway")."""
    with ExitStack() as hosts:
        yield lambda label: hosts.enter_context(Namespace(label))


@pytest.fixture
def wire(make_host: Callable[[str], Namespace]) -> Veth:
    """A cable between two new hosts: eth0 at 10.77.0.1/24 (left) and 10.77.0.2/24 (right)."""
    left, right = make_host("left"), make_host("right")
    cable = Veth((left, "eth0"), (right, "eth0"))
    left.add_address("eth0", "10.77.0.1/24")
    right.add_address("eth0", "10.77.0.2/24")
    return cable
