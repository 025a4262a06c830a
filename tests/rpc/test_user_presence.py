"""UserService, presence: what each RPC promises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import grpc
import psycopg
import pytest
from banter.v1 import user_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from tests.support.harness import Running, refused

COUNT_WRITES = """
CREATE TABLE presence_writes (user_id uuid);
CREATE FUNCTION presence_writes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO presence_writes VALUES (new.user_id);
    RETURN NULL;
END;
$$;
CREATE TRIGGER presence_writes AFTER INSERT OR UPDATE ON presence FOR EACH ROW EXECUTE FUNCTION presence_writes();
"""


def heartbeat(banter: Running, user_id: str):
    return banter.users.Heartbeat(user_pb2.HeartbeatRequest(), metadata=banter.as_user(user_id))


async def seen_by(banter: Running, user_id: str, reader: str) -> user_pb2.User:
    mask = FieldMask(paths=["is_online", "last_seen_time"])
    request = user_pb2.GetUserRequest(user_id=user_id, read_mask=mask)
    return (await banter.users.GetUser(request, metadata=banter.as_user(reader))).user


@pytest.fixture
def owner(owner_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def writes(owner: psycopg.Connection) -> Iterator[Callable[[str], int]]:
    """Counts how often a user's presence was written."""
    owner.execute(COUNT_WRITES.encode())

    def count(user_id: str) -> int:
        return owner.execute("SELECT FROM presence_writes WHERE user_id = %s", [user_id]).rowcount

    yield count
    owner.execute("DROP TRIGGER presence_writes ON presence")
    owner.execute("DROP FUNCTION presence_writes()")
    owner.execute("DROP TABLE presence_writes")


class TestHeartbeat:
    async def test_who_was_seen_is_online_for_a_minute_to_everybody(
        self, banter: Running, move_clock: Callable[[float], None]
    ) -> None:
        user, stranger = (await banter.new_user()).user_id, (await banter.new_user()).user_id
        assert await seen_by(banter, user, stranger) == user_pb2.User()
        await heartbeat(banter, user)
        seen = await seen_by(banter, user, stranger)
        assert seen.is_online
        assert seen.last_seen_time.seconds > 1_700_000_000
        move_clock(55)
        assert await seen_by(banter, user, stranger) == seen
        move_clock(61)
        gone = await seen_by(banter, user, stranger)
        assert (gone.is_online, gone.last_seen_time) == (False, seen.last_seen_time)

    async def test_who_waits_as_long_as_he_is_told_stays_online(
        self, banter: Running, move_clock: Callable[[float], None]
    ) -> None:
        user, now = (await banter.new_user()).user_id, 0.0
        for _ in range(5):
            interval = (await heartbeat(banter, user)).interval.ToTimedelta().total_seconds()
            assert 0 < interval < 60
            now += interval
            move_clock(now)
            assert (await seen_by(banter, user, user)).is_online

    async def test_one_within_twenty_seconds_does_not_touch_the_row(
        self, banter: Running, owner: psycopg.Connection, move_clock: Callable[[float], None]
    ) -> None:
        user = (await banter.new_user()).user_id
        row = "SELECT xmin::text, xmax::text, ctid::text, last_seen FROM presence WHERE user_id = %s"
        await heartbeat(banter, user)
        first = owner.execute(row, [user]).fetchone()
        assert first is not None
        move_clock(15)
        await heartbeat(banter, user)
        assert owner.execute(row, [user]).fetchone() == first
        move_clock(21)
        await heartbeat(banter, user)
        later = owner.execute(row, [user]).fetchone()
        assert later is not None
        assert (later[3] - first[3]).total_seconds() >= 20

    async def test_fifty_at_once_write_once(
        self, banter: Running, writes: Callable[[str], int], move_clock: Callable[[float], None]
    ) -> None:
        user = (await banter.new_user()).user_id
        for count, seconds in enumerate((0, 30, 60), 1):
            move_clock(seconds)
            barrier = asyncio.Barrier(50)

            async def call(barrier: asyncio.Barrier = barrier) -> None:
                await barrier.wait()
                await heartbeat(banter, user)

            async with asyncio.timeout(20):
                await asyncio.gather(*(call() for _ in range(50)))
            assert writes(user) == count

    async def test_those_that_meet_a_write_in_progress_wait_and_do_not_repeat_it(
        self, banter: Running, owner_url: str, owner: psycopg.Connection, writes: Callable[[str], int]
    ) -> None:
        user = (await banter.new_user()).user_id
        with psycopg.connect(owner_url) as other:
            other.execute("INSERT INTO presence SELECT %s, clock()", [user])
            call = asyncio.ensure_future(heartbeat(banter, user))
            await waiting(owner)
            other.commit()
        await call
        assert writes(user) == 1

    async def test_a_host_is_marked_as_seen_lately(self, banter: Running, owner: psycopg.Connection) -> None:
        user = (await banter.new_user()).user_id
        owner.execute("INSERT INTO hosts (user_id, seen_lately, create_time) SELECT %s, FALSE, clock()", [user])
        for _ in range(2):  # the second one writes no presence
            await heartbeat(banter, user)
            assert owner.execute("SELECT seen_lately FROM hosts WHERE user_id = %s", [user]).fetchone() == (True,)
            owner.execute("UPDATE hosts SET seen_lately = FALSE WHERE user_id = %s", [user])

    async def test_whose_account_goes_meanwhile_is_told_and_leaves_nothing(
        self, banter: Running, owner_url: str, owner: psycopg.Connection
    ) -> None:
        user = (await banter.new_user()).user_id
        await seen_by(banter, user, user)
        with psycopg.connect(owner_url) as eraser:
            eraser.execute("DELETE FROM living_users WHERE user_id = %s", [user])
            call = asyncio.ensure_future(refused(heartbeat(banter, user)))
            await waiting(owner)
            eraser.commit()
        failure = await call
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_UNKNOWN")
        await heartbeat(banter, user)  # remembered as a caller, and found no more: nothing to write
        assert owner.execute("SELECT FROM presence WHERE user_id = %s", [user]).rowcount == 0

    async def test_a_service_is_never_online(self, banter: Running) -> None:
        failure = await refused(banter.users.Heartbeat(user_pb2.HeartbeatRequest(), metadata=banter.as_service))
        assert (failure.code, failure.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ADMITTED")


async def waiting(owner: psycopg.Connection) -> None:
    """Until somebody waits for a lock in this database."""
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while owner.execute(query).rowcount == 0:
            await asyncio.sleep(0.005)
