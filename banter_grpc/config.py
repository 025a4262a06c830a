"""All settings: one class, read from environment variables ``BANTER_*``.

The README's table of settings is made from this class, and a test keeps it so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from banter_grpc.database.budget import Budget, Way, divide
from banter_grpc.rpc.issuers import Issuer


class Settings(BaseSettings):
    """What can be set. Times in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="BANTER_", frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(50051, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="port of the Prometheus metrics; none by default"
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="processes of `banter serve`; by default one per core, as far as the database's connections reach",
    )
    reflection: bool = Field(False, description="whether the server describes its services to anybody who asks")

    database_url: SecretStr | None = Field(None, description="the service's database, `postgresql://...`")
    migration_database_url: SecretStr | None = Field(None, description="the same as its owner, for migrations")
    database_test: bool = Field(False, description="accept a database that may lose data in a crash (tests only)")
    way: Way = Field(
        "lanes", description="`lanes`: short queries share connections; `pool`: none does, a switch for measuring"
    )
    read_lanes: int = Field(4, ge=1, description="connections that short reads share")
    write_lanes: int = Field(32, ge=1, description="connections that short writes share; a slow disk needs many")
    connections: int = Field(
        48,
        validate_default=True,
        description="all connections of a process: lanes, one that listens, one for jobs, and the pool, which gets the"
        " rest",
    )
    pool_max_waiting: int = Field(512, ge=1, description="calls that may wait for a connection; more are refused")
    pool_wait: float = Field(2.0, gt=0, description="longest wait for a connection")
    statement_timeout: float = Field(15.0, gt=0, description="longest that one statement may run on the pool")
    lock_timeout: float = Field(5.0, gt=0, description="longest wait for one lock on the pool")
    lane_statement_timeout: float = Field(
        5.0, gt=0, description="longest that one statement may run on a lane, where others wait behind it"
    )
    lane_lock_timeout: float = Field(1.0, gt=0, description="longest wait for one lock on a lane")
    slow_query_ms: int = Field(2000, ge=0, description="queries slower than this many milliseconds are logged")

    issuers: tuple[Issuer, ...] = Field((), description="whose tokens are accepted, as JSON; see Authentication")
    caller_cache: float = Field(5.0, ge=0, description="how long a caller's role and state are remembered")

    phone_hash_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="secret under which phone numbers are remembered that had their signup grant; never to change",
    )
    seal_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="secret that signs what `banter ledger seal` writes; kept from whoever administers the database",
    )
    signup_grant: int = Field(100, ge=0, le=10**9, description="coins for a new user, once per phone number ever")
    withdrawal_min: int = Field(1000, ge=1, le=10**9, description="fewest coins that a host may withdraw at once")

    max_in_flight: int = Field(1024, ge=1, description="calls in flight; more are refused")
    max_message_bytes: int = Field(1024 * 1024, ge=1024, description="longest request")
    page_size: int = Field(50, ge=1, description="rows of a page where a request does not say how many")
    page_size_max: int = Field(200, ge=1, le=1000, description="most rows of a page; who asks for more gets as many")
    host_rate_min: int = Field(1, ge=1, description="least that a host may ask for a minute, in coins; 0 is free")
    host_rate_max: int = Field(
        1000,
        ge=1,
        le=1_000_000_000,
        validate_default=True,
        description="most that a host may ask for a minute, in coins",
    )
    drain: float = Field(30.0, ge=0, description="longest wait for calls in flight when the server stops")
    drain_delay: float = Field(
        0.0, ge=0, description="how long a stopping server still takes calls, while health says no"
    )

    rate_read: float = Field(100, gt=0, description="reads a second for each user")
    rate_write: float = Field(20, gt=0, description="writes a second for each user")
    rate_costly: float = Field(5, gt=0, description="costly calls a second for each user")
    rate_burst: float = Field(2, ge=1, description="seconds' worth of calls that a caller may make at once")
    rate_service: float | None = Field(
        None, gt=0, description="calls a second for each service and class; unlimited by default"
    )

    jobs: bool = Field(True, description="whether this process takes part in running the jobs, one process at a time")
    jobs_lease: float = Field(
        30.0, ge=0.3, description="after how long another process takes over from one that runs the jobs and has died"
    )

    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: colours on a terminal, else JSON"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    data_dir: Path | None = Field(None, description="folder of the embedded database and of the development key")

    @field_validator("connections")
    @classmethod
    def _suffices(cls, connections: int, info: ValidationInfo) -> int:
        if info.data.keys() >= {"read_lanes", "write_lanes", "way"}:  # else one of these is refused already
            divide(connections, info.data["read_lanes"], info.data["write_lanes"], info.data["way"])
        return connections

    @field_validator("host_rate_max")
    @classmethod
    def _is_not_below(cls, host_rate_max: int, info: ValidationInfo) -> int:
        if host_rate_max < info.data.get("host_rate_min", 1):
            raise ValueError("is below host_rate_min; raise it, or lower that")
        return host_rate_max

    @property
    def host_rates(self) -> range:
        """What a host may ask for a minute, in coins, if it isn't 0."""
        return range(self.host_rate_min, self.host_rate_max + 1)

    @property
    def budget(self) -> Budget:
        """How `connections` are divided."""
        return divide(self.connections, self.read_lanes, self.write_lanes, self.way)
