"""Notifications: what the queries of their jobs promise."""

from __future__ import annotations

import uuid

import psycopg
import pytest

from banter_grpc.database.queries import user_notifications as queries
from tests.rpc.test_user_notifications import execute, listed, send, titles, to, unread
from tests.support.harness import Running


@pytest.fixture
async def user(banter: Running) -> str:
    return (await banter.new_user()).user_id


class TestPurge:
    async def test_what_was_read_long_ago_goes_a_part_at_a_time(self, banter: Running, user: str) -> None:
        """And what somebody works on is left, not waited for."""
        await send(banter, *[to(user, f"{n}") for n in range(6)])
        ids = [each.notification_id for each in await listed(banter, user)]
        for id_, days in zip(ids, (91, 92, 93, 94, 89), strict=False):
            query = "UPDATE notifications SET read_time = clock() - make_interval(days => %s) WHERE id = %s"
            await execute(banter, query, [days, id_])
        run = banter.server.database.run
        assert await run(queries.purge_read_notifications(at_most=2)) == 2
        assert await titles(banter, user) == ["5", "4", "1", "0"]
        async with await psycopg.AsyncConnection.connect(banter.owner_url) as busy:
            await busy.execute("SELECT FROM notifications WHERE id = %s FOR UPDATE", [ids[0]])
            assert await run(queries.purge_read_notifications(at_most=10)) == 1
        assert await run(queries.purge_read_notifications(at_most=10)) == 1
        assert await titles(banter, user) == ["1", "0"]
        assert await run(queries.purge_read_notifications(at_most=10)) == 0

    async def test_answers_to_senders_are_forgotten_after_thirty_days(self, banter: Running, user: str) -> None:
        request_id = str(uuid.uuid4())
        await send(banter, to(user), request_id=request_id)
        run = banter.server.database.run
        assert await run(queries.purge_notification_sends(at_most=10)) == 0
        query = "UPDATE notification_sends SET create_time = clock() - make_interval(days => 31)"
        await execute(banter, query, [])
        while await run(queries.purge_notification_sends(at_most=10)):
            pass
        await send(banter, to(user), request_id=request_id)
        assert await unread(banter, user) == 2
