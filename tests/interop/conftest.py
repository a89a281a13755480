"""Fixtures that several of these tests share."""

from collections.abc import AsyncIterator, Callable

import pytest

from lab.datapath import Pair, joined
from lab.netns import Namespace
from xfrm.tun.datapath import Settings

MakeHost = Callable[[str], Namespace]


@pytest.fixture(params=[True, False], ids=["large", "plain"])
async def pair(make_host: MakeHost, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    """With packets of up to 64 KB on the device, and without."""
    settings = Settings(offload=request.param)
    async with joined(make_host("left"), make_host("right"), settings=settings) as both:
        yield both
