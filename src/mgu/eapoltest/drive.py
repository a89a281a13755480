"""A session and a RADIUS client joined: one authentication, awaited."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from mgu.eapoltest.session import Begin, Finished, Replied, Result, Session
from radius.aio.client import RadiusClient


def today() -> datetime:
    return datetime.now(UTC)


async def authenticate(
    session: Session, client: RadiusClient, date: Callable[[], datetime] = today
) -> Result:
    """From EAP-Response/Identity to the verdict."""
    clock = asyncio.get_running_loop().time
    (command,) = session.handle(Begin(date=date()), clock())
    while not isinstance(command, Finished):
        answer = await client.ask(command.attributes, server=command.server, until=command.until)
        (command,) = session.handle(Replied(answer=answer, date=date()), clock())
    return command.result
