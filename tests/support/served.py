"""`banter serve` as a process of its own, as production has it: its memory is not the test's."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from tests.rpc.signing import jwks, signer
from tests.support.command import PHONE_HASH_KEY
from tests.support.processes import ROOT, eventually

_ISSUER, _AUDIENCE = "https://tests.invalid", "banter"


class _Log:
    """A log that grows, of which each line is read once: tests ask for it again and again while they wait."""

    def __init__(self, file: Path) -> None:
        self._file, self._read, self._lines = file, 0, list[dict[str, object]]()

    @property
    def lines(self) -> list[dict[str, object]]:
        with self._file.open("rb") as log:
            log.seek(self._read)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    self._lines.append(json.loads(line.decode(errors="replace")))
        return self._lines


@dataclass(frozen=True)
class Served:
    """A worker, which serves."""

    pid: int
    port: int
    supervisor: int
    _log: _Log

    @property
    def token(self) -> str:
        """A service's token, good for an hour."""
        now = int(time.time())
        claims = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "tests", "iat": now, "exp": now + 3600}
        return signer().token(**claims)

    @property
    def log(self) -> list[dict[str, object]]:
        """What it has logged as JSON so far."""
        return self._log.lines

    @property
    def memory(self) -> int:
        """Bytes of memory that it holds; Linux only."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    @property
    def files(self) -> int:
        """Files and sockets that it holds open; Linux only."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@contextlib.contextmanager
def served(folder: Path, service_url: str, *, workers: int = 1, **settings: object) -> Generator[Served]:
    """Serves this database until the block ends; `settings` are those of `Settings`. It has to end well."""
    keys, log_file = folder / "jwks.json", folder / "serve.log"
    keys.write_bytes(jwks(signer()))
    issuer = {"issuer": _ISSUER, "audience": _AUDIENCE, "subject": "service", "keys": str(keys)}
    given = {
        "database_url": service_url,
        "database_test": True,
        "issuers": json.dumps([issuer]),
        "phone_hash_key": PHONE_HASH_KEY,
        "log_format": "json",
        "metrics_port": 0,
        "connections": 12,  # several services of other tests are on this PostgreSQL at once
        "read_lanes": 2,
        "write_lanes": 4,
    }
    environment = {f"BANTER_{name.upper()}": str(value) for name, value in {**given, **settings}.items()}
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "banter_grpc", "serve", "--port", "0", "--workers", str(workers)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    logged = _Log(log_file)
    try:
        with contextlib.suppress(AssertionError):
            eventually(lambda: _serving(logged) is not None or process.poll() is not None, 60)
        found = _serving(logged)
        assert process.poll() is None and found is not None, f"it does not serve; it said:\n{log_file.read_text()}"
        yield Served(*found, process.pid, logged)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(15) == 0, log_file.read_text()[-2000:]
    finally:
        process.kill()
        process.wait(15)


def _serving(log: _Log) -> tuple[int, int] | None:
    """Process and port of its worker, once it serves."""
    for line in log.lines:
        match line:
            case {"event": "serving", "pid": int(pid), "port": int(port)}:
                return pid, port
    return None
