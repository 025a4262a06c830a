"""Accounts for the tests of callers."""

from __future__ import annotations

import asyncio

from banter_grpc.rpc.caller import Account, LookupKind
from tests.rpc.signing import USER_ID


class Accounts:
    """A table of accounts that counts who is asked for; while `gate` is shut its answers wait."""

    def __init__(self, *accounts: Account, **linked: Account) -> None:
        self.rows: dict[tuple[LookupKind, str], Account] = {("user_id", row.user_id): row for row in accounts}
        self.rows.update({("firebase_uid", uid): row for uid, row in linked.items()})
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.broken: Exception | None = None

    async def __call__(self, kind: LookupKind, subject: str) -> Account | None:
        self.asked.append(subject)
        found = self.rows.get((kind, subject))
        await self.gate.wait()
        if self.broken:
            raise self.broken
        return found


def account(role: str = "user", *, active: bool = True, user_id: str = USER_ID) -> Account:
    return Account(user_id, role, active)
