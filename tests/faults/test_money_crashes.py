"""Whatever dies at whatever moment: what was acknowledged is there, and what is sent again is done once.

10 kills, 200 with `BANTER_NIGHTLY=1`; `BANTER_SEED` draws the same calls, and the same kills at the same moments.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc.aio
import psycopg
import pytest

from tests.model.books import Books
from tests.model.calls import Call, Outcome, Seen
from tests.model.choices import Choose, by_seed, new_seed
from tests.model.client import OPTIONS, Client, new_world
from tests.model.invariants import assert_like, assert_sound, everybody
from tests.model.operations import OPERATIONS, agree
from tests.support.clusters import Cluster
from tests.support.crashes import Production, production
from tests.support.nightly import NIGHTLY

WAYS: Final = ["worker"] * 3 + ["connection"] * 3 + ["postgres"] * 2 + ["both", "service"]
TIMES: Final = 20 if NIGHTLY else 1
LANES: Final = 12
LONGEST_WAIT_MS: Final = 250


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="banter-crashes-") as made:
        yield Path(made)


@dataclass
class Lane:
    """Some people, and who makes one call after another about them."""

    books: Books
    seen: Seen
    choose: Choose
    made: list[tuple[Call, Outcome]] = field(default_factory=list)
    """The calls since the last kill."""

    async def run(self, client: Client, stop: asyncio.Event) -> None:
        """Calls until it is told to stop; each is sent again until it is answered, with what the books say."""
        while not stop.is_set():
            call = OPERATIONS[self.choose(list(OPERATIONS))].draw(self.choose, self.seen)
            if call is not None:
                outcome = await client.settle(call)
                agree(self.books, self.seen, call, outcome)
                self.made.append((call, outcome))

    async def again(self, client: Client) -> int:
        """Sends all of them again: nothing new comes of any. Returns how many had not been answered at first."""
        made, self.made = self.made, []
        for call, _ in made:
            agree(self.books, self.seen, call, await client.settle(call))
        return sum(outcome.again for _, outcome in made)


async def test_whatever_dies_every_operation_is_done_once(own_cluster: Cluster, folder: Path) -> None:
    seed, hit = new_seed(), 0
    chance = random.Random(seed)
    async with production(own_cluster, folder) as live:
        client = Client(_channel(live), live.served.token)
        async with await _owner(live) as owner:
            worlds = [await new_world(client, owner) for _ in range(LANES)]
        lanes = [Lane(*world, by_seed(seed, number)) for number, world in enumerate(worlds)]
        for way in chance.sample(WAYS * TIMES, len(WAYS) * TIMES):
            async with asyncio.timeout(120):
                await _kill(live, client, lanes, way, chance.randrange(LONGEST_WAIT_MS) / 1000)
                hit += sum(await asyncio.gather(*(lane.again(client) for lane in lanes)))
            async with await _owner(live) as owner:
                for lane in lanes:
                    await assert_like(owner, lane.books)
        async with await _owner(live) as owner:
            await assert_sound(owner, await everybody(owner))
        await client.channel.close()
    assert hit > 0 and live.cuts > 0, "calls were under way when their server died, and when their answer was lost"


async def _kill(live: Production, client: Client, lanes: list[Lane], way: str, wait: float) -> None:
    """Has the lanes work, kills something after so many seconds, and makes it whole; then they come to an end."""
    stop, channel, before = asyncio.Event(), client.channel, live.served
    working = [asyncio.create_task(lane.run(client, stop)) for lane in lanes]
    try:
        await asyncio.sleep(wait)
        await asyncio.to_thread(live.ways[way])
        await asyncio.to_thread(live.restart)
        if live.served is not before:
            client.channel = _channel(live)
        stop.set()
        await asyncio.gather(*working)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        if client.channel is not channel:  # not sooner: that would end the lanes' calls on it
            await channel.close()


def _channel(live: Production) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{live.served.port}", options=OPTIONS)


async def _owner(live: Production) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(live.database.owner_url, autocommit=True)
