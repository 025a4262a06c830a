"""The cache of accounts: how few questions it asks, and how soon it hears of a change."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import Mapping

import pytest

from banter_grpc.rpc.caller import Account, CallerCache, LookupKind
from tests.rpc.accounts import Accounts, account
from tests.rpc.signing import USER_ID, Clock

OTHER_ID = "0199f3b2-6b1c-7c3e-9d5a-5d0c8f2a4e11"


async def _turns() -> None:
    """Let every task run as far as it can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_hundred_callers_at_once_ask_the_database_once() -> None:
    accounts = Accounts(account())
    accounts.gate.clear()
    cache = CallerCache(accounts)
    callers = [asyncio.create_task(cache.get("user_id", USER_ID)) for _ in range(100)]
    await _turns()
    accounts.gate.set()
    assert await asyncio.gather(*callers) == [account()] * 100
    assert accounts.asked == [USER_ID]


async def test_an_account_is_remembered_for_its_time_counted_from_the_question() -> None:
    accounts, clock = Accounts(account()), Clock()
    cache = CallerCache(accounts, ttl=5, clock=clock)
    accounts.gate.clear()
    asking = asyncio.create_task(cache.get("user_id", USER_ID))
    await _turns()
    clock.at += 3
    accounts.gate.set()
    await asking
    clock.at += 1.9
    await cache.get("user_id", USER_ID)
    assert len(accounts.asked) == 1
    clock.at += 0.1
    await cache.get("user_id", USER_ID)
    assert len(accounts.asked) == 2


async def test_who_is_unknown_is_asked_for_each_time() -> None:
    accounts = Accounts()
    cache = CallerCache(accounts)
    assert await cache.get("firebase_uid", "zoe") is None
    accounts.rows["firebase_uid", "zoe"] = account()
    assert await cache.get("firebase_uid", "zoe") == account()
    assert await cache.get("firebase_uid", "zoe") == account()
    assert len(accounts.asked) == 2


async def test_an_error_is_not_remembered_and_reaches_all_who_wait() -> None:
    accounts = Accounts(account())
    accounts.broken = OSError("down")
    cache = CallerCache(accounts)
    errors = await asyncio.gather(*(cache.get("user_id", USER_ID) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [OSError] * 3
    accounts.broken = None
    assert await cache.get("user_id", USER_ID) == account()
    assert len(accounts.asked) == 2


async def test_a_caller_who_goes_takes_nobody_with_him() -> None:
    accounts = Accounts(account())
    accounts.gate.clear()
    cache = CallerCache(accounts)
    first, second = (asyncio.create_task(cache.get("user_id", USER_ID)) for _ in range(2))
    await _turns()
    first.cancel()
    await _turns()
    assert first.cancelled()
    accounts.gate.set()
    assert await second == account()
    assert len(accounts.asked) == 1


async def test_an_error_that_nobody_waits_for_any_more_is_no_complaint() -> None:
    accounts = Accounts()
    accounts.broken = OSError("down")
    accounts.gate.clear()
    cache = CallerCache(accounts)
    complaints: list[Mapping[str, object]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    try:
        asking = asyncio.create_task(cache.get("user_id", USER_ID))
        await _turns()
        asking.cancel()
        await _turns()
        accounts.gate.set()
        await _turns()
        gc.collect()
    finally:
        loop.set_exception_handler(None)
    assert not complaints


async def test_a_look_up_that_all_share_does_not_run_in_the_context_of_one() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    name.set("the first caller")
    seen: list[str | None] = []

    async def look_up(_kind: LookupKind, _subject: str) -> Account | None:
        seen.append(name.get(None))
        return None

    await CallerCache(look_up).get("user_id", USER_ID)
    assert seen == [None]


async def test_an_evicted_user_is_asked_for_again_under_every_name() -> None:
    accounts = Accounts(account(), account(user_id=OTHER_ID), zoe=account())
    cache = CallerCache(accounts)
    names: list[tuple[LookupKind, str]] = [("user_id", USER_ID), ("firebase_uid", "zoe"), ("user_id", OTHER_ID)]
    for name in names:
        await cache.get(*name)
    accounts.asked.clear()
    cache.evict(USER_ID)
    cache.evict("nobody")
    for name in names:
        await cache.get(*name)
    assert accounts.asked == [USER_ID, "zoe"]
    accounts.asked.clear()
    cache.evict(None)
    for name in names:
        await cache.get(*name)
    assert accounts.asked == [USER_ID, "zoe", OTHER_ID]


@pytest.mark.parametrize("name", [("user_id", USER_ID), ("firebase_uid", "zoe")])
@pytest.mark.parametrize("evicted", [USER_ID, None])
async def test_an_answer_from_before_an_eviction_is_not_remembered_nor_given_to_who_comes_later(
    name: tuple[LookupKind, str], evicted: str | None
) -> None:
    accounts = Accounts(account(), zoe=account())
    old = accounts.gate
    old.clear()
    cache = CallerCache(accounts)
    before = asyncio.create_task(cache.get(*name))
    await _turns()
    accounts.rows[name] = account(active=False)
    accounts.gate = asyncio.Event()
    accounts.gate.set()
    cache.evict(evicted)
    assert await cache.get(*name) == account(active=False)
    old.set()
    assert await before == account()
    assert await cache.get(*name) == account(active=False)
    assert len(accounts.asked) == 2


async def test_an_old_answer_leaves_the_question_that_followed_it_alone() -> None:
    accounts = Accounts(account())
    old, new = accounts.gate, asyncio.Event()
    old.clear()
    cache = CallerCache(accounts)
    before = asyncio.create_task(cache.get("user_id", USER_ID))
    await _turns()
    cache.evict(USER_ID)
    accounts.gate = new
    after = asyncio.create_task(cache.get("user_id", USER_ID))
    await _turns()
    old.set()
    await before
    later = asyncio.create_task(cache.get("user_id", USER_ID))
    await _turns()
    new.set()
    assert await after == await later == await cache.get("user_id", USER_ID) == account()
    assert len(accounts.asked) == 2


async def test_so_many_accounts_are_remembered_and_the_longest_unused_goes() -> None:
    ids = [f"0199f3b2-6b1c-7c3e-9d5a-{number:012}" for number in range(3)]
    accounts = Accounts(*(account(user_id=one) for one in ids))
    cache = CallerCache(accounts, size=2)
    for one in (ids[0], ids[1], ids[0], ids[2], ids[0]):
        await cache.get("user_id", one)
    assert accounts.asked == ids
    await cache.get("user_id", ids[1])
    assert len(accounts.asked) == 4
