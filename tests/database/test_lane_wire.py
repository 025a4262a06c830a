"""Large messages both ways, in the clear and through TLS, whose buffers the loop does not see."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.database.lane_units import BIG, LENGTH, ONE, is_up, opened, statement, unit, within
from tests.support.tls import tls_server

ECHO = statement("SELECT $1::text, $2::int4", name="echo")
MANY = statement("SELECT g, repeat('y', 1000) FROM generate_series(1, $1::int4) g", name="many")


@pytest.fixture(scope="module")
def tls_url() -> Iterator[str]:
    with tls_server() as url:
        if url is None:
            pytest.skip("no PostgreSQL is installed that speaks TLS")
        yield url


async def exchange_everything(url: str) -> None:
    size = 64 << 20
    text = "z" * size
    async with opened(url) as lane:
        steps = [[(BIG, (size,))], [(LENGTH, (text,))], [(MANY, (65536,)), (LENGTH, (text,))], [(ECHO, (text, 1))]]
        units = [lane.run(unit(*each)) for each in steps]
        small = [lane.run(unit((ONE, (i,)))) for i in range(100)]
        [[(big,)]], [[(length,)]], [many, [(length_too,)]], [[echoed]] = await within(asyncio.gather(*units), 120)
        assert len(big) == length == length_too == size
        assert len(many) == 65536 and echoed == (text, 1)
        assert await within(asyncio.gather(*small)) == [[[(i,)]] for i in range(100)]
        del units, big, many, echoed
        # Every size around libpq's and TLS's buffers, alone on the wire: nothing may stay in a buffer unseen.
        for n in [*range(8000, 8400, 7), *range(16200, 16500, 7), *range(32600, 32900, 7), 65536, 131072, 1 << 20]:
            assert len((await within(lane.run(unit((BIG, (n,)))), 5))[0][0][0]) == n
        echoes = [lane.run(unit((ECHO, ("e" * 100_000, i)))) for i in range(300)]
        assert [answer[0][0][1] for answer in await within(asyncio.gather(*echoes), 60)] == list(range(300))


async def test_64_mib_go_both_ways_over_a_unix_socket(lane_url: str) -> None:
    await exchange_everything(lane_url)


@pytest.mark.parametrize("mode", ["require", "disable"])
async def test_64_mib_go_both_ways_over_tcp_and_tls(tls_url: str, mode: str) -> None:
    await exchange_everything(make_conninfo(tls_url, sslmode=mode))


async def test_a_lane_through_tls_comes_back_when_its_backend_ends(tls_url: str) -> None:
    encrypted = statement("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    async with (
        opened(make_conninfo(tls_url, sslmode="require")) as lane,
        await psycopg.AsyncConnection.connect(tls_url, autocommit=True) as admin,
    ):
        for _ in range(3):
            assert await within(lane.run(unit((encrypted, ())))) == [[(True,)]]
            pid = lane.backend
            await admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
            await is_up(lane, after=pid)
