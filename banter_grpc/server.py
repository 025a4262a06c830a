"""Puts the service together: the only place that knows all of its parts."""

from __future__ import annotations

import asyncio
import gc
import secrets
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Literal, Self, cast

from banter.v1 import options_pb2, user_pb2, wallet_pb2
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from prometheus_client import start_http_server

from banter_grpc import loop
from banter_grpc.config import Settings
from banter_grpc.database.database import Database, LaneSettings, PoolSettings
from banter_grpc.database.lane_settings import MOST_STEPS
from banter_grpc.database.listener import Listener
from banter_grpc.database.queries import caller as caller_queries
from banter_grpc.database.queries import keys as key_queries
from banter_grpc.handlers.user import SignupGrant, UserHandler
from banter_grpc.handlers.user_accounts import UserAccountsHandler
from banter_grpc.handlers.user_activity import UserActivityHandler
from banter_grpc.handlers.user_data import UserDataHandler
from banter_grpc.handlers.user_hosts import UserHostsHandler
from banter_grpc.handlers.user_notifications import UserNotificationsHandler
from banter_grpc.handlers.user_presence import UserPresenceHandler
from banter_grpc.handlers.user_search import UserSearchHandler
from banter_grpc.handlers.wallet import WalletHandler
from banter_grpc.handlers.wallet_bonuses import BonusHandler
from banter_grpc.handlers.wallet_ledger import WalletLedgerHandler
from banter_grpc.handlers.wallet_refunds import RefundHandler
from banter_grpc.handlers.wallet_statements import StatementHandler
from banter_grpc.handlers.wallet_subscriptions import SubscriptionHandler
from banter_grpc.handlers.wallet_withdrawals import WithdrawalHandler
from banter_grpc.jobs.job import Job
from banter_grpc.jobs.lease import Lease
from banter_grpc.jobs.registry import JOBS
from banter_grpc.jobs.runner import JobRunner
from banter_grpc.pages import KEY_BYTES, Pages
from banter_grpc.rpc.admission import Admission
from banter_grpc.rpc.caller import Account, Authenticator, CallerCache
from banter_grpc.rpc.health import Health, health_policy
from banter_grpc.rpc.limits import Rate, RateLimits
from banter_grpc.rpc.methods import Method, methods_of
from banter_grpc.rpc.surroundings import Surroundings
from banter_grpc.rpc.telemetry.calls import CallLog
from banter_grpc.rpc.telemetry.database import DatabaseObserver
from banter_grpc.rpc.telemetry.jobs import JobObserver
from banter_grpc.rpc.telemetry.logs import Log
from banter_grpc.rpc.telemetry.metrics import Metrics
from banter_grpc.rpc.tokens import TokenVerifier, TrustedIssuer, published
from banter_grpc.transport.grpc import GrpcServer
from banter_grpc.transport.reflection import reflection

SERVICES: tuple[ServiceDescriptor, ...] = (
    user_pb2.DESCRIPTOR.services_by_name["UserService"],
    wallet_pb2.DESCRIPTOR.services_by_name["WalletService"],
)
"""The services of the contract, in its order."""

_PING_SECONDS = 1.0
_CALLER_CHANNEL = "banter_caller"


class Server:
    """One process's server, from its settings. Use it as an async context manager: it serves inside.

    `issuers` are trusted beside those of the settings: the ones that `banter dev` makes. With `share_port` several
    processes may listen on one port. `jobs` are those that it takes part in running.
    """

    def __init__(
        self,
        settings: Settings,
        log: Log,
        issuers: Sequence[TrustedIssuer] = (),
        *,
        share_port: bool = False,
        jobs: Sequence[Job] = JOBS,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._log = log
        self.metrics = Metrics()
        self.health = Health(service.full_name for service in SERVICES)
        self._observer = DatabaseObserver(log, self.metrics, settings.slow_query_ms / 1000)
        self.database = _database(settings, self._observer)
        self.callers = CallerCache(self._look_up, ttl=settings.caller_cache)
        self.pages = Pages(settings.page_size, settings.page_size_max)
        self._verifier = TokenVerifier([*map(published, settings.issuers), *issuers])
        self.admission = Admission(settings.max_in_flight, settings.pool_max_waiting, lambda: self.database.waiting)
        self.metrics.watch_calls(lambda: self.admission.in_flight)
        self.metrics.watch_pool(self.database.stats)
        self.metrics.watch_lanes(self.database.lane_stats)
        surroundings = Surroundings(
            self.admission,
            Authenticator(self._verifier, self.callers),
            _limits(settings),
            CallLog(log, self.metrics),
            settings.max_message_bytes,
        )
        self.grpc = GrpcServer(
            self._methods(),
            surroundings,
            settings.host,
            settings.port,
            max_message_bytes=settings.max_message_bytes,
            share_port=share_port,
            extend=[reflection(self._names())] if settings.reflection else [],
        )
        self._stack = AsyncExitStack()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return self.grpc.port

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        """Start what others need first; the stack stops it all in the opposite order."""
        push = self._stack.push_async_callback
        await self.database.open()
        push(self.database.close)
        self.pages.load(await self._signing_key("pages"))
        self._verifier.start()
        push(self._verifier.close)
        listener = Listener(_url(self._settings), _CALLER_CHANNEL, self.callers.evict)
        await listener.open()
        push(listener.close)
        runner = await self._open_jobs() if self._settings.jobs else None
        if self._settings.metrics_port is not None:
            self._serve_metrics(self._settings.metrics_port)
        # The database has answered just now: who serves is ready from its first call on.
        self.health.set_ready(True)
        await self.grpc.start()
        push(self.drain)
        watch = asyncio.create_task(self._watch_database(), name="readiness")
        push(_end, watch)
        if runner is not None:
            runner.start()
            push(runner.close)

    async def _open_jobs(self) -> JobRunner:
        """What runs the jobs, over a connection of its own; the lease is asked for on the way of all short queries."""
        database = _jobs_database(self._settings, self._jobs, self._observer)
        await database.open()
        self._stack.push_async_callback(database.close)
        lease = Lease(self.database, "jobs", self._settings.jobs_lease)
        return JobRunner(self._jobs, database, lease, JobObserver(self._log, self.metrics.registry))

    async def serve_until(self, stop: asyncio.Event) -> bool:
        """Wait until told to stop; False if there is nothing to stop any more."""
        stopped, ended = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self.grpc.ended())
        try:
            await asyncio.wait([stopped, ended], return_when=asyncio.FIRST_COMPLETED)
            return stopped.done()
        finally:
            stopped.cancel()
            ended.cancel()

    async def drain(self) -> None:
        """Not ready; then, after the delay of the settings, take no more calls and let those in flight end."""
        self.health.close()
        await asyncio.sleep(self._settings.drain_delay)
        await self.grpc.stop(self._settings.drain)

    async def _watch_database(self) -> None:
        while True:
            self.health.set_ready(await self.database.ping())
            await asyncio.sleep(_PING_SECONDS)

    def _serve_metrics(self, port: int) -> None:
        server, thread = start_http_server(port, self._settings.host, self.metrics.registry)

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        self._stack.callback(close)

    def _methods(self) -> list[Method]:
        user, wallet = SERVICES
        health = cast("ServiceDescriptor", health_pb2.DESCRIPTOR.services_by_name["Health"])
        return [
            *methods_of(
                user,
                UserHandler(self.database, _signup_grant(self._settings)),
                UserDataHandler(self.database),
                UserNotificationsHandler(self.database, self.pages),
                UserActivityHandler(self.database, self.pages),
                UserPresenceHandler(self.database),
                UserHostsHandler(self.database, self.pages, rates=self._settings.host_rates),
                UserAccountsHandler(self.database, self.pages),
                UserSearchHandler(self.database, self.pages),
            ),
            *methods_of(
                wallet,
                WalletHandler(self.database),
                WithdrawalHandler(self.database, self.pages, self._settings.withdrawal_min),
                BonusHandler(self.database, self.pages),
                SubscriptionHandler(self.database),
                RefundHandler(self.database),
                StatementHandler(self.database, self.pages),
                WalletLedgerHandler(self.database),
            ),
            *methods_of(health, self.health, policy_of=health_policy, quiet=True),
        ]

    def _names(self) -> list[str]:
        return [*(service.full_name for service in SERVICES), "grpc.health.v1.Health"]

    async def _signing_key(self, purpose: str) -> bytes:
        """The key that all processes of this database share; made here if none has made it."""
        _, row = await self.database.run(
            key_queries.insert_signing_key(purpose=purpose, secret=secrets.token_hex(KEY_BYTES)),
            key_queries.get_signing_key(purpose=purpose),
        )
        assert row is not None, "it was inserted before, or just now"
        return row.secret

    async def _look_up(self, kind: Literal["user_id", "firebase_uid"], subject: str) -> Account | None:
        step = (
            caller_queries.find_caller_by_user_id(user_id=subject)
            if kind == "user_id"
            else caller_queries.find_caller_by_firebase_uid(firebase_uid=subject)
        )
        row = await self.database.run(step)
        return None if row is None else Account(row.user_id, row.role, row.is_active)


def spare_collector() -> None:
    """Leave what lives as long as the process out of garbage collection, which would go through it again and again."""
    gc.collect()
    gc.freeze()


async def serve(
    settings: Settings,
    log: Log,
    started: Callable[[Server], None] = lambda _: None,
    issuers: Sequence[TrustedIssuer] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Calls `started` once calls are taken."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.on_signal(number, stop.set)  # a repeated one changes nothing
    async with Server(settings, log, issuers) as server:
        log.info("serving", host=settings.host, port=server.port)
        started(server)
        spare_collector()
        if not await server.serve_until(stop):
            log.error("the listener ended by itself; ending the process, for another to take its place")
            log.flush()
            raise SystemExit(1)
        log.info("stopping")
    log.info("stopped")
    log.flush()


def _database(settings: Settings, observer: DatabaseObserver) -> Database:
    budget = settings.budget
    return Database(
        PoolSettings(
            url=_url(settings),
            size=budget.pool,
            max_waiting=settings.pool_max_waiting,
            wait=settings.pool_wait,
            statement_timeout=settings.statement_timeout,
            lock_timeout=settings.lock_timeout,
        ),
        observer,
        lanes=_lanes(settings) if settings.way == "lanes" else None,
    )


def _jobs_database(settings: Settings, jobs: Sequence[Job], observer: DatabaseObserver) -> Database:
    """One connection. Each job has a limit; the server's own is for a process that can't end its query any more."""
    longest = max((job.limit for job in jobs), default=0.0)
    return Database(
        PoolSettings(
            url=_url(settings),
            purpose="jobs",
            size=1,
            min_size=1,
            wait=settings.pool_wait,
            statement_timeout=longest + settings.statement_timeout,
            lock_timeout=settings.lock_timeout,
        ),
        observer,
    )


def _lanes(settings: Settings) -> LaneSettings:
    return LaneSettings(
        read_lanes=settings.read_lanes,
        write_lanes=settings.write_lanes,
        statement_timeout=settings.lane_statement_timeout,
        lock_timeout=settings.lane_lock_timeout,
        silence=max(30.0, (MOST_STEPS + 1) * settings.lane_statement_timeout),
        patience=settings.pool_wait,
    )


def _signup_grant(settings: Settings) -> SignupGrant:
    assert settings.phone_hash_key is not None, "checked by the commands"
    return SignupGrant(settings.signup_grant, settings.phone_hash_key.get_secret_value().encode())


def _url(settings: Settings) -> str:
    assert settings.database_url is not None, "checked by the commands"
    return settings.database_url.get_secret_value()


def _limits(settings: Settings) -> RateLimits:
    def rate(per_second: float) -> Rate:
        return Rate(per_second, max(1, round(per_second * settings.rate_burst)))

    users = {
        int(options_pb2.RATE_CLASS_READ): rate(settings.rate_read),
        int(options_pb2.RATE_CLASS_WRITE): rate(settings.rate_write),
        int(options_pb2.RATE_CLASS_COSTLY): rate(settings.rate_costly),
    }
    services = dict.fromkeys(users, rate(settings.rate_service)) if settings.rate_service else {}
    return RateLimits(users, services, time.monotonic)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
