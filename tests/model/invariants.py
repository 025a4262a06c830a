"""What has to be true of the ledger at every moment, as SQL: each check selects what breaks it. Nothing is fine.

The checks look at the people that they are asked about, and at what moved their coins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import psycopg

from tests.model.books import Books, Movement, Wallet

_HELD: Final = {
    "coins": "0",
    "earnings": """
        SELECT coalesce(sum(amount), 0) FROM withdrawals
        WHERE withdrawals.user_id = wallets.user_id AND status IN ('pending', 'approved')
    """,
}
"""By wallet, the coins that something of the user `wallets.user_id` holds."""

CHECKS: Final = {
    # 1. Every transaction's entries sum to 0, and move its total.
    "transactions sum to zero": """
        SELECT transactions.id::text AS subject FROM people
        INNER JOIN transactions ON people.id = transactions.user_id
        LEFT JOIN LATERAL (
            SELECT sum(amount) AS rest, sum(amount) FILTER (WHERE amount > 0) AS moved
            FROM entries WHERE transaction_id = transactions.id
        ) AS legs ON TRUE
        WHERE (legs.rest = 0 AND legs.moved = transactions.total) IS NOT TRUE
    """,
    # 2, 3. What a wallet holds is the sum of its entries; nobody owes anything.
    "wallets hold the sum of their entries": """
        SELECT wallets.user_id || ' ' || wallets.kind FROM people
        INNER JOIN wallets ON people.id = wallets.user_id
        LEFT JOIN LATERAL (
            SELECT coalesce(sum(amount), 0) AS amount FROM entries
            WHERE entries.user_id = wallets.user_id AND entries.account = wallets.kind
        ) AS entered ON TRUE
        WHERE wallets.available + wallets.held <> entered.amount OR least(wallets.available, wallets.held) < 0
    """,
    "everybody has both wallets": """
        SELECT people.id::text FROM people
        WHERE (SELECT count(*) FROM wallets WHERE wallets.user_id = people.id) <> 2
    """,
    # 8. Versions are 1, 2, 3, ...; each balance goes on from the one before; the wallet is at the last one.
    "versions have no gap and no fork": """
        SELECT chain.user_id || ' ' || chain.account || ' ' || chain.version FROM (
            SELECT
                entries.*,
                row_number() OVER wallet AS place,
                sum(amount) OVER wallet AS balance
            FROM people INNER JOIN entries ON people.id = entries.user_id
            WHERE account IN ('coins', 'earnings')
            WINDOW wallet AS (PARTITION BY entries.user_id, account ORDER BY version)
        ) AS chain
        WHERE (version = place AND balance_after = balance AND balance_after >= 0) IS NOT TRUE
    """,
    "wallets are at their last entry": """
        SELECT wallets.user_id || ' ' || wallets.kind FROM people
        INNER JOIN wallets ON people.id = wallets.user_id
        LEFT JOIN LATERAL (
            SELECT version, hash FROM entries
            WHERE entries.user_id = wallets.user_id AND entries.account = wallets.kind
            ORDER BY version DESC LIMIT 1
        ) AS last ON TRUE
        WHERE wallets.version <> coalesce(last.version, 0) OR wallets.head_hash <> coalesce(last.hash, '')
    """,
    "hashes follow from what they cover": """
        SELECT entries.user_id || ' ' || entries.account || ' ' || entries.version FROM people
        INNER JOIN entries ON people.id = entries.user_id AND entries.version IS NOT NULL
        INNER JOIN transactions ON entries.transaction_id = transactions.id
        LEFT JOIN entries AS before
            ON before.user_id = entries.user_id AND before.account = entries.account
            AND before.version = entries.version - 1
        CROSS JOIN LATERAL (
            SELECT string_agg(leg_bytes(user_id, account, amount, version, balance_after), '' ORDER BY user_id, account)
            FROM entries AS legs WHERE legs.transaction_id = transactions.id
        ) AS whole (legs)
        WHERE entries.hash IS DISTINCT FROM entry_hash(
            coalesce(before.hash, ''), transaction_digest(transactions, whole.legs), entries.user_id, entries.account
        )
    """,
    # 4. What is held is held by something that is open.
    "holds are those of what is open": " UNION ALL ".join(
        f"SELECT wallets.user_id || ' {kind}' FROM people INNER JOIN wallets ON people.id = wallets.user_id"
        f" WHERE wallets.kind = '{kind}' AND wallets.held <> ({held})"
        for kind, held in _HELD.items()
    ),
    # 7. An `earnings` row exactly where a host was paid, and of that.
    "earnings are what hosts were paid": """
        SELECT coalesce(earnings.transaction_id, paid.transaction_id)::text FROM (
            SELECT entries.*, transactions.total FROM people
            INNER JOIN entries ON people.id = entries.user_id
            INNER JOIN transactions ON entries.transaction_id = transactions.id
            WHERE
                entries.account = 'earnings' AND entries.amount > 0
                AND transactions.kind IN ('call_charge', 'gift', 'bonus')
        ) AS paid
        FULL JOIN (SELECT earnings.* FROM people INNER JOIN earnings ON people.id = earnings.user_id) AS earnings
            ON paid.user_id = earnings.user_id AND paid.transaction_id = earnings.transaction_id
        WHERE (
            earnings.host_part = paid.amount AND earnings.total = paid.total
            AND earnings.host_part + earnings.platform_part = earnings.total
        ) IS NOT TRUE
    """,
    # 12. One credit for each payment, one payment for each credit.
    "payments are credited once": """
        SELECT coalesce(payments.transaction_id, credits.id)::text FROM (
            SELECT transactions.* FROM people INNER JOIN transactions ON people.id = transactions.user_id
            WHERE transactions.kind = 'purchase'
        ) AS credits
        FULL JOIN (SELECT payments.* FROM people INNER JOIN payments ON people.id = payments.user_id) AS payments
            ON credits.id = payments.transaction_id
        WHERE (credits.user_id = payments.user_id AND credits.total = payments.coins) IS NOT TRUE
    """,
    "nobody had two signup grants": """
        SELECT transactions.user_id::text FROM people
        INNER JOIN transactions ON people.id = transactions.user_id
        WHERE transactions.kind = 'signup_grant'
        GROUP BY transactions.user_id HAVING count(*) > 1
    """,
    # 9. A withdrawal that is paid has its movement, and each of these movements its withdrawal.
    "withdrawals are paid once": """
        SELECT coalesce(withdrawals.id, payouts.subject_id)::text FROM (
            SELECT transactions.* FROM people INNER JOIN transactions ON people.id = transactions.user_id
            WHERE transactions.kind = 'withdrawal'
        ) AS payouts
        FULL JOIN (
            SELECT withdrawals.* FROM people INNER JOIN withdrawals ON people.id = withdrawals.user_id
            WHERE status = 'paid' OR transaction_id IS NOT NULL
        ) AS withdrawals ON payouts.id = withdrawals.transaction_id
        WHERE (
            withdrawals.status = 'paid' AND payouts.user_id = withdrawals.user_id
            AND payouts.subject_id = withdrawals.id AND payouts.total = withdrawals.amount
        ) IS NOT TRUE
    """,
    # 10. A period for each charge, a charge for each period; no two overlap.
    "periods are charged once": """
        SELECT coalesce(charges.id, periods.transaction_id)::text FROM (
            SELECT transactions.* FROM people INNER JOIN transactions ON people.id = transactions.user_id
            WHERE transactions.kind = 'subscription'
        ) AS charges
        FULL JOIN (
            SELECT subscription_periods.* FROM people
            INNER JOIN subscription_periods ON people.id = subscription_periods.user_id
        ) AS periods ON charges.id = periods.transaction_id
        WHERE (
            charges.user_id = periods.user_id AND charges.subject_id = periods.subscription_id
            AND charges.total = periods.coins
        ) IS NOT TRUE
    """,
    "no two periods overlap": """
        SELECT one.user_id || ' ' || one.place FROM people
        INNER JOIN subscription_periods AS one ON people.id = one.user_id
        INNER JOIN subscription_periods AS other ON one.user_id = other.user_id AND one.place < other.place
        WHERE one.end_time > other.start_time AND one.end_time > one.start_time AND other.end_time > other.start_time
    """,
    # 11. The marks of refunds run from 0 without a gap, and not beyond the original; each is what it moved.
    "refunds take back no more than there was": """
        SELECT coalesce(marks.transaction_id, moves.id)::text FROM (
            SELECT
                refunds.*,
                originals.total,
                coalesce(lag(after) OVER (PARTITION BY original_id ORDER BY before), 0) AS reached
            FROM people INNER JOIN refunds ON people.id = refunds.user_id
            INNER JOIN transactions AS originals ON refunds.original_id = originals.id
        ) AS marks
        FULL JOIN (
            SELECT transactions.* FROM people INNER JOIN transactions ON people.id = transactions.user_id
            WHERE transactions.kind = 'refund'
        ) AS moves ON marks.transaction_id = moves.id
        WHERE (
            marks.before = marks.reached AND marks.after <= marks.total
            AND moves.total = marks.after - marks.before AND moves.subject_id = marks.original_id
        ) IS NOT TRUE
    """,
    # 12. One bonus for each host, rule and period.
    "bonuses are given once": """
        SELECT coalesce(bonuses.transaction_id, gifts.id)::text FROM (
            SELECT transactions.* FROM people INNER JOIN transactions ON people.id = transactions.user_id
            WHERE transactions.kind = 'bonus'
        ) AS gifts
        FULL JOIN (
            SELECT host_bonuses.* FROM people INNER JOIN host_bonuses ON people.id = host_bonuses.user_id
        ) AS bonuses
            ON gifts.id = bonuses.transaction_id
        WHERE (gifts.user_id = bonuses.user_id AND gifts.total = bonuses.coins) IS NOT TRUE
    """,
    "who was erased has nothing, and nothing moves": """
        SELECT users.id::text FROM people
        INNER JOIN users ON people.id = users.id
        WHERE users.delete_time IS NOT NULL AND (
            EXISTS (SELECT FROM wallets WHERE wallets.user_id = users.id AND available + held <> 0)
            OR EXISTS (
                SELECT FROM transactions WHERE transactions.user_id = users.id AND create_time > users.delete_time
            )
        )
    """,
    # 13. All wallets and all legs of system accounts together are 0.
    "coins are neither made nor lost": """
        SELECT 'all' FROM (
            SELECT coalesce(sum(available + held), 0) AS coins
            FROM people INNER JOIN wallets ON people.id = wallets.user_id
        ) AS wallets
        CROSS JOIN (
            SELECT coalesce(sum(amount), 0) AS coins FROM people INNER JOIN entries ON people.id = entries.user_id
            WHERE account NOT IN ('coins', 'earnings')
        ) AS others
        WHERE wallets.coins + others.coins <> 0
    """,
}
"""By what they promise. The numbers are those of the ledger's invariants."""

_STATEMENT: Final = "WITH people AS (SELECT unnest(%(people)s::uuid[]) AS id)\n" + "\nUNION ALL\n".join(
    f"SELECT '{name}', broken.subject FROM ({text}) AS broken (subject)" for name, text in CHECKS.items()
)


async def broken(owner: psycopg.AsyncConnection, people: Sequence[str]) -> list[tuple[str, str]]:
    """What breaks an invariant: the promise, and the row."""
    cursor = await owner.execute(_STATEMENT, {"people": list(people)})
    return await cursor.fetchall()


async def everybody(owner: psycopg.AsyncConnection) -> list[str]:
    """All users of a database."""
    cursor = await owner.execute("SELECT id::text FROM users")
    return [user for (user,) in await cursor.fetchall()]


async def assert_sound(owner: psycopg.AsyncConnection, people: Sequence[str]) -> None:
    """Every invariant holds."""
    found = await broken(owner, people)
    assert not found, found


async def assert_like(owner: psycopg.AsyncConnection, books: Books) -> None:
    """Every invariant holds, and the database has what the books have: wallets and movements, no more and no less."""
    people = [key[0] for key, _ in books.of("user")]
    await assert_sound(owner, people)
    assert await _wallets(owner, people) == dict(books.of("wallet"))
    there, wanted = await movements(owner, people), {key[0]: movement for key, movement in books.of("movement")}
    assert {name: there.get(name) for name in wanted} == wanted
    assert there.keys() == wanted.keys(), "nothing moved that was not asked for"


async def _wallets(owner: psycopg.AsyncConnection, people: Sequence[str]) -> dict[tuple[str, str], Wallet]:
    cursor = await owner.execute(
        "SELECT user_id::text, kind, available, held, version FROM wallets WHERE user_id = ANY(%s)", [list(people)]
    )
    return {(user, kind): Wallet(*rest) for user, kind, *rest in await cursor.fetchall()}


async def movements(owner: psycopg.AsyncConnection, people: Sequence[str]) -> dict[str, Movement]:
    """What moved their coins, by the name that the books have for it."""
    cursor = await owner.execute(
        f"""
        SELECT
            {_NAME}, kind, transactions.user_id::text, total,
            coalesce(subject_id::text, ''),
            array_agg(ARRAY[entries.user_id::text, account, amount::text])
        FROM transactions INNER JOIN entries ON transactions.id = entries.transaction_id
        WHERE transactions.user_id = ANY(%s)
        GROUP BY transactions.id
        """,
        [list(people)],
    )
    return {
        name: Movement(*rest, frozenset((user, account, int(amount)) for user, account, amount in legs))
        for name, *rest, legs in await cursor.fetchall()
    }


async def places(owner: psycopg.AsyncConnection, people: Sequence[str]) -> dict[tuple[str, str, str], int]:
    """The version that each movement gave to each wallet: by its name, the user and the wallet."""
    cursor = await owner.execute(
        f"""
        SELECT {_NAME}, entries.user_id::text, account, version
        FROM entries INNER JOIN transactions ON entries.transaction_id = transactions.id
        WHERE entries.user_id = ANY(%s) AND version IS NOT NULL
        """,
        [list(people)],
    )
    return {(name, user, account): version for name, user, account, version in await cursor.fetchall()}


_NAME: Final = """
    CASE WHEN transactions.kind = 'signup_grant' THEN kind || '/' || transactions.user_id ELSE transactions.id::text END
"""
