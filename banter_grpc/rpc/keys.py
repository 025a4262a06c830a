"""Which keys an issuer's tokens may be signed with, now: fetched beside the calls, kept while a fetch fails."""

from __future__ import annotations

import asyncio
import base64
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from concurrent.futures import Future
from contextvars import Context
from functools import partial
from typing import Protocol, TypeVar

from jwt import PyJWK

from banter_grpc.rpc.issuers import Algorithm, check_source
from banter_grpc.rpc.jwks import JwksError, Key, read_jwks

T = TypeVar("T")

_log = logging.getLogger(__name__)


class KeysUnavailableError(Exception):
    """Whether a token is good can't be said: its issuer's keys can't be fetched. Not the caller's fault."""


class KeySet(Protocol):
    """The keys of one issuer."""

    async def find(self, kid: str | None) -> Sequence[Key]:
        """The keys of this name (without one: all keys), none if the issuer has none; or `KeysUnavailableError`."""
        ...

    def holds(self, key: Key) -> bool:
        """Whether the key is still good; once it is gone, so are the tokens that it signed."""
        ...

    def start(self) -> None:
        """Begin to fetch, in the running event loop."""

    async def close(self) -> None:
        """Stop fetching."""


class SharedKey:
    """One HS256 key, for whoever has it can sign: only for the key that ``banter dev`` makes for itself."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("an HS256 key has at least 32 bytes")
        encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
        self._key = Key(None, "HS256", PyJWK.from_dict({"kty": "oct", "k": encoded}, "HS256"), ())

    async def find(self, kid: str | None) -> Sequence[Key]:
        """See `KeySet`."""
        return (self._key,) if kid is None else ()

    def holds(self, key: Key) -> bool:
        """See `KeySet`."""
        return key is self._key

    def start(self) -> None:
        """See `KeySet`; nothing to do."""

    async def close(self) -> None:
        """See `KeySet`; nothing to do."""


class JwksKeys:
    """The keys that an issuer publishes at `source`: an http(s) URL or a file with a JWKS document.

    Fetched every `refresh_seconds`; while that fails, what was fetched last stays good for `keep_seconds`. An unknown
    name of a key starts a fetch at once, at most one in `min_refetch_seconds`, which all who wait share. A key that a
    fetch no longer finds is gone. `clock` is monotonic; `sleep` waits between fetches.
    """

    def __init__(
        self,
        source: str,
        algorithms: Collection[Algorithm],
        *,
        refresh_seconds: float = 300.0,
        keep_seconds: float = 86400.0,
        min_refetch_seconds: float = 10.0,
        timeout_seconds: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._source = check_source(source)
        self._algorithms = frozenset(algorithms)
        self._refresh_seconds = refresh_seconds
        self._keep_seconds = keep_seconds
        self._min_refetch_seconds = min_refetch_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._sleep = sleep
        self._keys: dict[tuple[object, ...], Key] = {}
        self._live: frozenset[Key] = frozenset()
        self._good_until = float("-inf")
        self._tried_at = float("-inf")
        self._failing = True
        self._fetch: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None

    async def find(self, kid: str | None) -> Sequence[Key]:
        """See `KeySet`."""
        found = self._named(kid)
        if not found:
            if self._is_fetching() or self._clock() >= self._tried_at + self._min_refetch_seconds:
                await self.refresh()
                found = self._named(kid)
            # While fetches fail nobody knows which keys there are by now.
            if not found and self._failing:
                raise KeysUnavailableError(f"the keys at {self._source} can't be fetched")
        return found

    def holds(self, key: Key) -> bool:
        """See `KeySet`."""
        return key in self._live and self._clock() < self._good_until

    def start(self) -> None:
        """See `KeySet`."""
        self._loop = asyncio.create_task(self._keep_fresh(), name="banter-keys", context=Context())

    async def close(self) -> None:
        """See `KeySet`."""
        running = [task for task in (self._loop, self._fetch) if task is not None]
        self._loop = self._fetch = None
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def refresh(self) -> bool:
        """Fetch now, or wait for the fetch that runs; returns whether it worked. A failure is logged."""
        fetch = self._fetch
        if fetch is None or fetch.done():
            # In a context of its own: the caller's must not bound or name what all share.
            fetch = self._fetch = asyncio.create_task(self._fetch_once(), context=Context())
        await asyncio.shield(fetch)
        return not self._failing

    def _is_fetching(self) -> bool:
        return self._fetch is not None and not self._fetch.done()

    def _named(self, kid: str | None) -> Sequence[Key]:
        if self._clock() >= self._good_until:
            return ()
        return [key for key in self._keys.values() if kid is None or key.kid == kid]

    async def _fetch_once(self) -> None:
        self._tried_at = started = self._clock()
        read = partial(read_jwks, self._source, self._algorithms, self._timeout_seconds)
        try:
            found = await _in_thread(read, self._timeout_seconds + 1)
        except (JwksError, TimeoutError) as error:
            self._failing = True
            left = self._good_until - self._clock()
            then = f"the old ones are used for {left:.0f} s more" if left > 0 else "tokens of its issuer are refused"
            _log.warning("keys at %s: %s; %s", self._source, error or "no answer in time", then)
            return
        self._failing = False
        self._good_until = started + self._keep_seconds
        self._keys = {key.content: self._keys.get(key.content, key) for key in found}
        self._live = frozenset(self._keys.values())
        if not found:
            _log.warning("keys at %s: none is for %s", self._source, " or ".join(sorted(self._algorithms)))

    async def _keep_fresh(self) -> None:
        failures = 0
        while True:
            failures = 0 if await self.refresh() else failures + 1
            pause = 2.0 ** min(failures - 1, 30) if failures else self._refresh_seconds
            await self._sleep(min(pause, self._refresh_seconds))


async def _in_thread(work: Callable[[], T], seconds: float) -> T:
    """Run blocking work in a daemon thread: one that hangs (a name server can) never delays the process's end."""
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="banter-keys", daemon=True).start()
    async with asyncio.timeout(seconds):
        return await asyncio.wrap_future(done)
