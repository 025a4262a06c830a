"""Where the figures were made."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import psycopg

from bench.load import H2Load

_PACKAGES = ("grpcio", "uvloop", "protobuf", "protovalidate", "psycopg", "psycopg-pool")
_SETTINGS = (
    "commit_delay",
    "fsync",
    "jit",
    "max_connections",
    "server_version",
    "shared_buffers",
    "synchronous_commit",
    "wal_sync_method",
)
_FLUSHES = 50
_PAGE = bytes(8192)


def load() -> dict[str, object]:
    """The cores, and what they have to do now."""
    return {"cores": len(os.sched_getaffinity(0)), "load_average": os.getloadavg()[0]}


def describe(before: dict[str, object], owner_url: str, data: Path, h2load: H2Load) -> dict[str, object]:
    """The machine with its load `before`, the versions, and the PostgreSQL at `owner_url`, whose data lie in `data`."""
    with psycopg.connect(owner_url) as connection:
        query = "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY(%s) ORDER BY name"
        settings = dict(connection.execute(query, [list(_SETTINGS)]).fetchall())
    return {
        **before,
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "h2load": h2load.version(),
        "commit": _commit(),
        "postgres": settings,
        "flush_us": flush_us(data),
    }


def flush_us(folder: Path) -> float:
    """The median time of a page's way to the disk, written and flushed as the WAL is."""
    probe, times = folder / "flush.probe", list[float]()
    try:
        with probe.open("wb", buffering=0) as file:
            for _ in range(_FLUSHES):
                file.seek(0)
                file.write(_PAGE)
                started = time.perf_counter()
                os.fdatasync(file.fileno())
                times.append(time.perf_counter() - started)
    finally:
        probe.unlink(missing_ok=True)
    return round(statistics.median(times) * 1e6, 1)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str | None:
    """The commit that is checked out, ``+`` behind it if anything has changed since; None outside of git."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
