"""Pages of lists (AIP-158): keyset cursors in signed tokens.

A token holds the sort key of the last row that was shown, and a signature (HMAC-SHA256, RFC 2104) over it, the
request's type, its other arguments and who asks. So it can't be made up, changed, lent to another, or used with other
filters.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import orjson
from google.protobuf.message import Message

from banter_grpc.errors import Refusal

R = TypeVar("R")

Cursor = Sequence[str | int | bool]
"""The sort key of a row, as the query's parameters take it."""

KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 16
_NOT_BOUND: Final = ("page_token", "page_size", "skip")


class Page:
    """One page that is asked for: at most `size` rows after `cursor`. Fetch `limit` rows, and give them to `cut`."""

    def __init__(self, size: int, cursor: Cursor, sign: Callable[[Cursor], str]) -> None:
        self.size = size
        self.cursor = cursor
        self._sign = sign

    @property
    def limit(self) -> int:
        """How many rows to fetch: one more than are shown tells whether there are more."""
        return self.size + 1

    def cut(self, rows: Sequence[R], key: Callable[[R], Cursor], *, goes_on: bool = False) -> tuple[Sequence[R], str]:
        """The rows to show, and the token of the next page: empty on the last one. `key` is a row's sort key.

        With `goes_on` there is a next page after these rows, however few they are.
        """
        shown = rows[: self.size]
        return shown, self._sign(key(shown[-1])) if goes_on or len(rows) > self.size else ""


class Pages:
    """Opens the pages of all lists: `default` rows where a request does not say how many, at most `maximum`."""

    def __init__(self, default: int = 50, maximum: int = 200) -> None:
        self._default = default
        self._maximum = maximum
        self._key: bytes | None = None

    def load(self, key: bytes) -> None:
        """The key that signs: the same in every process that serves one database."""
        self._key = key

    def open(self, request: Message, actor_id: str | None, first: Cursor) -> Page:
        """The page that a request asks for; `first` is the cursor before the first row.

        `request` has `page_size` and `page_token`; every other field but `skip` is bound by the token, and so is
        `actor_id`, who asks. Raises `Refusal` (PAGE_TOKEN_INVALID).
        """
        asked: Any = request
        scope = _scope(request, actor_id)
        size = min(asked.page_size or self._default, self._maximum)
        cursor = self._read(asked.page_token, scope, len(first)) if asked.page_token else first
        return Page(size, cursor, lambda key: self._sign(orjson.dumps(list(key)), scope))

    def _sign(self, payload: bytes, scope: bytes) -> str:
        signed = payload + self._signature(payload, scope)
        return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()

    def _read(self, token: str, scope: bytes, length: int) -> Cursor:
        try:
            signed = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise _invalid() from None
        payload, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(payload, scope)):
            raise _invalid()
        cursor: list[str | int | bool] = orjson.loads(payload)
        if len(cursor) != length:  # of an older version of the list
            raise _invalid()
        return cursor

    def _signature(self, payload: bytes, scope: bytes) -> bytes:
        assert self._key is not None, "loaded before the server listens"
        return hmac.digest(self._key, scope + payload, "sha256")[:_SIGNATURE_BYTES]


def _scope(request: Message, actor_id: str | None) -> bytes:
    """What a token is good for, as 32 bytes: type of the request, its other arguments, who asks."""
    bound = type(request)()
    bound.CopyFrom(request)
    for name in _NOT_BOUND:
        if name in request.DESCRIPTOR.fields_by_name:
            bound.ClearField(name)
    arguments = bound.SerializeToString(deterministic=True)
    return hashlib.sha256(f"{request.DESCRIPTOR.full_name}\n{actor_id}\n".encode() + arguments).digest()


def _invalid() -> Refusal:
    return Refusal(
        "PAGE_TOKEN_INVALID",
        "is no token of this list; send back next_page_token with the same other arguments, or start without one",
        field="page_token",
    )
