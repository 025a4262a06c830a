"""Seals: where each wallet's chain of hashes ended at some time, in a signed file outside the database.

Whoever may write the database can change a row and compute every hash behind it anew: then the ledger is whole, and
another. But entries never change, so that an entry of a sealed version has its sealed hash for ever; a chain that was
computed anew has not. The file has a line for each wallet, because a version is needed to find the entry, and its hash
to name the wallet; they are text, so that a person can look a wallet up in it, and two seals can be compared. The last
line is an HMAC of all before it. The time is this machine's: the database may be the liar.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Final, NamedTuple

from banter_grpc import ledger
from banter_grpc.database.database import Database
from banter_grpc.database.queries import wallet_ledger as queries
from banter_grpc.foreseen import ForeseenError
from banter_grpc.ids import FIRST_ID

CHECK: Final = "seal"
"""The name under which `compare` reports."""

_TITLE: Final = b"banter ledger seal 1\n"
_FIRST: Final = (FIRST_ID, "")


class SealError(ForeseenError):
    """A seal can't be written or trusted; the text is one line that says why and what to do."""


class Seal(NamedTuple):
    """What a trusted file says of itself."""

    path: Path
    time: str
    wallets: int


async def write(database: Database, path: Path, key: bytes, *, piece: int = ledger.PIECE) -> AsyncGenerator[int]:
    """Seal all wallets that have an entry, and say after each piece how many. The file is there when it is whole.

    Wallets are read one after the other while everybody goes on: each has to keep what is sealed of itself.
    """
    with _new(path) as file:
        mac, count = hmac.new(key, digestmod="sha256"), 0

        def put(text: bytes) -> None:
            mac.update(text)
            file.write(text)

        put(_TITLE + f"time {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}\n".encode())
        after, full = _FIRST, True
        while full:
            heads = await database.run(queries.list_heads(after=after, most=piece))
            put("".join(f"{each.user_id} {each.kind} {each.version} {each.hash}\n" for each in heads).encode())
            full, count = len(heads) == piece, count + len(heads)
            after = (heads[-1].user_id, heads[-1].kind) if heads else after
            yield count
        put(f"wallets {count}\n".encode())
        put(f"hmac-sha256 {mac.hexdigest()}\n".encode())


def trusted(path: Path, key: bytes) -> Seal:
    """The seal of a file; raises `SealError` unless it is whole and signed with this key, and `OSError`."""
    mac = hmac.new(key, digestmod="sha256")
    lines, before = 0, b""
    with path.open("rb") as file:
        if file.readline(len(_TITLE)) != _TITLE:
            raise SealError(f"{path} is no seal: give a file that banter ledger seal wrote")
        mac.update(_TITLE)
        time = last = file.readline(200)
        for line in _lines(file):
            mac.update(last)
            lines, before, last = lines + 1, last, line
    if not hmac.compare_digest(last, f"hmac-sha256 {mac.hexdigest()}\n".encode()):
        raise SealError(f"{path} was changed, cut short or signed with another key: trust another seal, or set its key")
    return Seal(path, time.decode().split()[1], int(before.split()[1]))


async def compare(
    database: Database, seal: Seal, user_id: str | None = None, *, piece: int = ledger.PIECE
) -> AsyncGenerator[ledger.Progress | ledger.Discrepancy]:
    """Look whether each sealed entry is still there and has its hash, of all users or of one."""
    with seal.path.open("rb") as file:
        file.readline()
        file.readline()
        sealed = (line.decode().split() for line in islice(_lines(file), seal.wallets))
        checked = 0
        while heads := list(islice(sealed, piece)):
            checked += len(heads)
            heads = [head for head in heads if user_id in (None, head[0])]
            users, accounts, versions, hashes = zip(*heads, strict=True) if heads else ((), (), (), ())
            step = queries.verify_heads(
                user_ids=users, accounts=accounts, versions=[int(version) for version in versions], digests=hashes
            )
            for row in await database.run(step):
                key = ledger.where(("user_id", "account", "version"), (row.user_id, row.account, str(row.version)))
                yield ledger.Discrepancy(CHECK, "entries", key, "hash", row.expected, row.found)
            yield ledger.Progress(CHECK, checked, seal.wallets, checked)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines that are no longer than a seal's are."""
    return iter(lambda: file.readline(200), b"")


@contextmanager
def _new(path: Path) -> Generator[IO[bytes]]:
    """A file that shows under its name when it is whole and on the disk; raises `SealError` if there is one already."""
    if path.exists():
        raise SealError(f"{path} is there already, and a seal is never overwritten: choose another name")
    made = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with made.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        made.rename(path)
    finally:
        made.unlink(missing_ok=True)
