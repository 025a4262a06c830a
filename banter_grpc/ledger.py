"""Whether the ledger is whole: every rule of it, checked in pieces while everybody goes on.

A check walks a table in the order of its keys. Each piece is one statement (``sql/wallet_ledger.sql``), so that it
sees one moment: live traffic gives no false alarm. Locally right is wholly right: that each entry goes on from the one
before it makes a wallet's balance the sum of its entries, and that each transaction's entries sum to 0 makes all
wallets and system accounts sum to 0.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet_ledger as queries
from banter_grpc.database.queries.wallet_ledger import Finding
from banter_grpc.database.statement import Step
from banter_grpc.ids import FIRST_ID, LAST_ID

PIECE: Final = 1000
"""Rows of a table that one statement looks at: some tens of milliseconds."""


class Query(Protocol):
    """What looks at the next piece of a table."""

    def __call__(self, *, after: Sequence[str], until: str, most: int) -> Step[list[Finding]]: ...


class Check(NamedTuple):
    """One walk over a table."""

    name: str
    table: str
    key: tuple[str, ...]
    """The columns by which a row of it is named."""
    start: tuple[str, ...]
    """What comes before all keys of a user, behind his id."""
    query: Query


CHECKS: Final = (
    Check("owners", "users", ("id",), ("",), queries.verify_owners),
    Check("wallets", "wallets", ("user_id", "kind"), ("",), queries.verify_wallets),
    Check("chains", "entries", ("user_id", "account", "transaction_id"), ("", FIRST_ID), queries.verify_chains),
    Check("hashes", "entries", ("user_id", "account", "transaction_id"), ("", FIRST_ID), queries.verify_hashes),
    Check("transactions", "transactions", ("id",), ("-infinity", FIRST_ID), queries.verify_transactions),
    Check("earnings", "earnings", ("user_id", "transaction_id"), (FIRST_ID,), queries.verify_earnings),
    Check("payments", "payments", ("provider", "payment_id"), ("", ""), queries.verify_payments),
)
"""All checks, in the order in which they are made. A table that money depends on has one here."""


class Progress(NamedTuple):
    """How far a check is: rows looked at, about how many there are (0: that is not known), and those of all checks."""

    check: str
    rows: int
    estimate: int
    total: int


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A row that breaks a rule: `field` of it is `found`, and should be `expected` (None: nothing)."""

    check: str
    table: str
    key: str
    field: str
    expected: str | None
    found: str | None

    def __str__(self) -> str:
        found, expected = self.found or "nothing", self.expected or "nothing"
        return f"{self.table} where {self.key}: {self.field} is {found}, and should be {expected}"


async def verify(
    database: Database, user_id: str | None = None, *, piece: int = PIECE
) -> AsyncGenerator[Progress | Discrepancy]:
    """Make every check, of all users or of one: after each piece its discrepancies, and then how far the check is.

    Raises `DatabaseError`: nothing is said then of what was not looked at.
    """
    first, until = (user_id, user_id) if user_id else (FIRST_ID, LAST_ID)
    estimates: dict[str, int] = {}
    if not user_id:
        counted = await database.run(queries.estimate_rows(names=[check.table for check in CHECKS]))
        estimates = {row.table_name: row.estimate for row in counted}
    total = 0
    for check in CHECKS:
        estimate = estimates.get(check.table, 0)
        seen, after, full = 0, [first, *check.start], True
        while full:
            findings = await database.run(check.query(after=after, until=until, most=piece))
            rows = 0
            for finding in findings:
                after, rows = finding.reached, finding.rows_seen
                if finding.row_key is not None and finding.field is not None:
                    key = where(check.key, finding.row_key)
                    yield Discrepancy(check.name, check.table, key, finding.field, finding.expected, finding.found)
            seen, total, full = seen + rows, total + rows, rows == piece
            yield Progress(check.name, seen, max(estimate, seen) if estimate else 0, total)


def where(columns: Sequence[str], values: Sequence[str]) -> str:
    """The condition that finds a row by its key."""
    pairs = zip(columns, values, strict=True)
    return " AND ".join(f"{column} = '{value.replace(chr(39), chr(39) * 2)}'" for column, value in pairs)
