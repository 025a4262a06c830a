"""Who calls: from the call's metadata to a caller with role and rights."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, NamedTuple
from uuid import UUID, uuid5

from banter.v1 import options_pb2

from banter_grpc.errors import Refusal
from banter_grpc.errors import user as errors
from banter_grpc.rpc.keys import KeysUnavailableError
from banter_grpc.rpc.tokens import TokenError, TokenExpiredError, TokenVerifier, canonical_user_id

AUTHORIZATION = "authorization"
ON_BEHALF_OF = "banter-on-behalf-of"

LookupKind = Literal["user_id", "firebase_uid"]

_SERVICES: Final = UUID("9f9cf7bc-785c-4d72-8846-30d8bf267564")
"""Namespace of services' actor ids. Never to change: what a service did before is found by its id."""

_PUBLIC: Final = frozenset({options_pb2.CALLER_KIND_PUBLIC})
_SERVICE: Final = _PUBLIC | {options_pb2.CALLER_KIND_SERVICE}
_USER: Final = _PUBLIC | {options_pb2.CALLER_KIND_USER}
_MODERATOR: Final = _USER | {options_pb2.CALLER_KIND_MODERATOR}
_ADMIN: Final = _MODERATOR | {options_pb2.CALLER_KIND_ADMIN}
_KINDS: Final[Mapping[str, frozenset[int]]] = {"user": _USER, "moderator": _MODERATOR, "admin": _ADMIN}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, and what he may be taken for."""

    user_id: str | None
    """The user who calls, or for whom a service does."""
    role: str | None
    """``user``, ``moderator`` or ``admin``; None without a user."""
    service: str | None
    """Name of the service that calls, for itself or for a user."""
    kinds: frozenset[int]
    """The values of ``banter.v1.CallerKind`` that apply."""
    actor_id: str | None
    """Whose doing it is: the user, else the service's own UUID; None for the public."""

    @property
    def user(self) -> str:
        """The user who calls a method whose policy admits nobody but users."""
        assert self.user_id is not None, "the policy admits users only"
        return self.user_id

    @property
    def actor(self) -> str:
        """Whose doing it is, in a method whose policy does not admit the public."""
        assert self.actor_id is not None, "the policy admits nobody without credentials"
        return self.actor_id

    @property
    def is_staff(self) -> bool:
        """Whether the user is a moderator or an admin."""
        return options_pb2.CALLER_KIND_MODERATOR in self.kinds

    @property
    def is_service(self) -> bool:
        """Whether a service calls for nobody but itself."""
        return options_pb2.CALLER_KIND_SERVICE in self.kinds


PUBLIC: Final = Caller(None, None, None, _PUBLIC, None)
"""Anybody without credentials."""


class Account(NamedTuple):
    """What the database knows of a caller."""

    user_id: str
    role: str
    is_active: bool


Lookup = Callable[[LookupKind, str], Awaitable[Account | None]]
"""Asks the database for the account of a subject."""

_Key = tuple[LookupKind, str]


class CallerCache:
    """Remembers accounts for `ttl` seconds, at most `size` of them; who is unknown is asked for each time.

    Callers who ask for the same subject at once share one look-up. `clock` is monotonic.
    """

    def __init__(
        self, lookup: Lookup, *, ttl: float = 5.0, size: int = 50_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._lookup = lookup
        self._ttl = ttl
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[_Key, tuple[Account, float]] = OrderedDict()
        self._keys_of: dict[str, set[_Key]] = {}
        self._running: dict[_Key, asyncio.Task[Account | None]] = {}

    async def get(self, kind: LookupKind, subject: str) -> Account | None:
        """The account of the subject, None if there is none; raises what the look-up does."""
        key = (kind, subject)
        entry = self._entries.get(key)
        if entry is not None:
            if self._clock() < entry[1]:
                self._entries.move_to_end(key)
                return entry[0]
            self._drop(key)
        running = self._running.get(key)
        if running is None:
            # In a context of its own, and not to be cancelled by the one who happened to come first.
            running = asyncio.create_task(self._look_up(key), context=Context())
            running.add_done_callback(_retrieve)
            self._running[key] = running
        return await asyncio.shield(running)

    def evict(self, user_id: str | None) -> None:
        """Forget a user, or with None everybody: the account has changed.

        An answer that is under way reaches those who wait for it, and nobody who comes later.
        """
        if user_id is None:
            self._entries.clear()
            self._keys_of.clear()
            self._running.clear()
            return
        for key in tuple(self._keys_of.get(user_id, ())):
            self._drop(key)
        # Whose account a firebase_uid's look-up will find is not known yet.
        for key in [key for key in self._running if key[0] == "firebase_uid" or key[1] == user_id]:
            del self._running[key]

    async def _look_up(self, key: _Key) -> Account | None:
        started = self._clock()
        this = asyncio.current_task()
        try:
            account = await self._lookup(*key)
            if account is not None and self._running.get(key) is this:
                self._remember(key, account, started + self._ttl)
            return account
        finally:
            if self._running.get(key) is this:
                del self._running[key]

    def _remember(self, key: _Key, account: Account, until: float) -> None:
        self._entries[key] = (account, until)
        self._keys_of.setdefault(account.user_id, set()).add(key)
        if len(self._entries) > self._size:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: _Key) -> None:
        account, _ = self._entries.pop(key)
        keys = self._keys_of[account.user_id]
        keys.discard(key)
        if not keys:
            del self._keys_of[account.user_id]


class Authenticator:
    """Tells from a call's metadata who calls."""

    def __init__(self, verifier: TokenVerifier, accounts: CallerCache) -> None:
        self._verifier = verifier
        self._accounts = accounts

    async def authenticate(self, metadata: Mapping[str, str]) -> Caller:
        """The caller, who without credentials is `PUBLIC`; raises `Refusal`."""
        authorization = metadata.get(AUTHORIZATION)
        on_behalf_of = metadata.get(ON_BEHALF_OF)
        if authorization is None:
            if on_behalf_of is not None:
                raise _on_behalf_of_denied()
            return PUBLIC
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise _token_invalid(TokenError("malformed", "authorization is not `Bearer <token>`; send it like that"))
        try:
            verified = await self._verifier.verify(token.strip(" "))
        except TokenExpiredError as error:
            raise Refusal("TOKEN_EXPIRED", str(error)) from None
        except TokenError as error:
            raise _token_invalid(error) from None
        except KeysUnavailableError:
            why = "the keys of the token's issuer can't be fetched; try again in 1 s"
            raise Refusal("KEYS_UNAVAILABLE", why, retry_after=1.0) from None
        if verified.subject_kind == "service":
            return await self._service(verified.subject, on_behalf_of)
        if on_behalf_of is not None:
            raise _on_behalf_of_denied()
        return await self._user(verified.subject_kind, verified.subject)

    async def _service(self, name: str, on_behalf_of: str | None) -> Caller:
        if on_behalf_of is None:
            return _service(name)
        user_id = canonical_user_id(on_behalf_of)
        if user_id is None:
            raise Refusal("METADATA_INVALID", f"metadata {ON_BEHALF_OF}: must be a user's id, a UUID", key=ON_BEHALF_OF)
        account = await self._accounts.get("user_id", user_id)
        if account is None:
            raise Refusal("CALLER_UNKNOWN", f"the user that {ON_BEHALF_OF} names does not exist; check the id")
        if not account.is_active:
            raise Refusal(
                "CALLER_INACTIVE",
                f"the account that {ON_BEHALF_OF} names is deactivated; only support can reactivate it",
            )
        return _user(account, name)

    async def _user(self, kind: LookupKind, subject: str) -> Caller:
        account = await self._accounts.get(kind, subject)
        if account is None:
            if kind == "firebase_uid":
                raise Refusal(
                    "USER_NOT_LINKED", "no user is linked to this token's subject; link it with FindOrCreateUser"
                )
            raise errors.caller_unknown()
        if not account.is_active:
            raise errors.caller_inactive()
        return _user(account, None)


@lru_cache(maxsize=1000)
def _service(name: str) -> Caller:
    return Caller(None, None, name, _SERVICE, str(uuid5(_SERVICES, name)))


@lru_cache(maxsize=10_000)  # it depends on nothing else, and making one costs more than finding it
def _user(account: Account, service: str | None) -> Caller:
    return Caller(account.user_id, account.role, service, _KINDS[account.role], account.user_id)


def _on_behalf_of_denied() -> Refusal:
    return Refusal("ON_BEHALF_OF_DENIED", f"only a service may send {ON_BEHALF_OF}; leave it out")


def _token_invalid(error: TokenError) -> Refusal:
    return Refusal("TOKEN_INVALID", str(error), fault=error.fault)


def _retrieve(task: asyncio.Task[Account | None]) -> None:
    """Look at a look-up's error, so that asyncio does not complain when everybody who waited has gone."""
    if not task.cancelled():
        task.exception()
