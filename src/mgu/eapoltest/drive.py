"""A session and a RADIUS client joined: one authentication, awaited."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from mgu.eapoltest.session import Begin, Finished, Query, Replied, Result, Session
from radius.aio.client import RadiusClient
from radius.events import Answered, Failed


def today() -> datetime:
    return datetime.now(UTC)


async def authenticate(
    session: Session, client: RadiusClient, date: Callable[[], datetime] = today
) -> Result:
    """From EAP-Response/Identity to the verdict. An answer leads to the next request at once,
    without a task in between, which would cost as much as the request."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Result] = loop.create_future()

    def perform(command: Query | Finished) -> None:
        if isinstance(command, Finished):
            if not done.done():
                done.set_result(command.result)
        else:
            client.submit(command.attributes, replied, server=command.server, until=command.until)

    def replied(answer: Answered | Failed) -> None:
        try:
            (command,) = session.handle(Replied(answer=answer, date=date()), loop.time())
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, not the reader
            if not done.done():
                done.set_exception(error)
        else:
            perform(command)

    (command,) = session.handle(Begin(date=date()), loop.time())
    perform(command)
    await client.flush()
    return await done
