"""The listener: hints that arrive, and the sign that some may not have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from banter_grpc.database.listener import Listener
from tests.database.pools import ask
from tests.support.proxy import Proxy

CHANNEL = 'a "channel"'
LISTENERS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = 'banter/test/listener'"
)


@asynccontextmanager
async def listening(url: str, on_payload: Callable[[str | None], object]) -> AsyncIterator[Listener]:
    listener = Listener(url, CHANNEL, on_payload, instance="test")
    await listener.open()
    try:
        yield listener
    finally:
        await listener.close()


async def heard(queue: asyncio.Queue[str | None]) -> str | None:
    async with asyncio.timeout(5):
        return await queue.get()


def notify(url: str, payload: str) -> None:
    ask(url, f"SELECT pg_notify('{CHANNEL}', '{payload}')")


async def test_a_payload_arrives(service_url: str) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    async with listening(service_url, queue.put_nowait):
        for payload in ("one", "", "two"):
            notify(service_url, payload)
        assert [await heard(queue) for _ in range(3)] == ["one", "", "two"]
        assert ask(service_url, LISTENERS) == 1


async def test_a_broken_connection_is_made_again_and_says_that_something_may_be_missing(service_url: str) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    async with Proxy(service_url) as proxy, listening(proxy.url, queue.put_nowait):
        for _ in range(2):
            proxy.drop()
            assert await heard(queue) is None
            notify(service_url, "after")
            assert await heard(queue) == "after"


async def test_a_database_that_is_not_there_yet_is_waited_for(service_url: str) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    async with Proxy(service_url) as proxy:
        proxy.refuse = True
        async with listening(proxy.url, queue.put_nowait):
            assert queue.empty()
            proxy.refuse = False
            assert await heard(queue) is None


async def test_a_handler_that_fails_does_not_end_it(service_url: str, caplog: pytest.LogCaptureFixture) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue()

    def handle(payload: str | None) -> None:
        queue.put_nowait(payload)
        raise ValueError("a defect")

    async with listening(service_url, handle):
        notify(service_url, "one")
        assert await heard(queue) == "one"
        notify(service_url, "two")
        assert await heard(queue) == "two"
    assert "was not handled" in caplog.text


async def test_what_is_closed_hears_nothing_and_may_be_closed_again(service_url: str) -> None:
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    async with listening(service_url, queue.put_nowait) as listener:
        await listener.close()
        notify(service_url, "late")
        async with asyncio.timeout(5):
            while ask(service_url, LISTENERS):
                await asyncio.sleep(0.005)
    assert queue.empty()
