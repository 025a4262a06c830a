"""Starting and stopping the server of one data folder, whatever state it was left in."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from banter_grpc.database.account import Account, EmbeddedError

_LAUNCH_SECONDS = 30
"""How long a server that doesn't come up is tried again: what a killed one left behind needs moments to die."""

_RECOVERY_SECONDS = 600
"""How long a server that runs may take to answer: after a crash it reads its log first."""

_TRANSIENT = ("shared memory block", "lock file")
"""Complaints about what a killed server left behind."""

_LOG_SIZE = 10_000_000

PORT = 5432
"""Of the socket's name: there is no TCP."""


@dataclass(frozen=True, slots=True)
class Postmaster:
    """The server process of `data`, run from `bin` under `account`, at a socket in `socket_folder`."""

    bin: Path
    account: Account
    data: Path
    socket_folder: Path
    log: Path

    def ensure(self) -> None:
        """Return when the server answers, starting it if need be."""
        began = time.monotonic()
        while not self.answers():
            alive = self._is_alive()
            waited = time.monotonic() - began
            if not alive:
                self._forget_the_dead()
                reason = self._launch()
                if reason and (waited > _LAUNCH_SECONDS or not any(text in reason for text in _TRANSIENT)):
                    raise EmbeddedError(f"PostgreSQL does not start: {reason} (its log: {self.log})")
            elif waited > _RECOVERY_SECONDS:
                raise EmbeddedError(f"PostgreSQL runs, but does not answer: read {self.log}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """True when the server accepts queries."""
        return (
            self.account.run(
                self.bin / "pg_isready", "-q", "-U", "banter", "-d", "postgres", "-h", self.socket_folder
            ).returncode
            == 0
        )

    def stop(self) -> None:
        """Stop the server; whoever is connected is sent away, nothing that was committed is lost."""
        for mode in ("fast", "immediate"):
            if not self._is_alive():
                return
            self.account.run(self.bin / "pg_ctl", "-D", self.data, "-m", mode, "-w", "-t", "30", "stop", output=False)
        if self._is_alive():
            raise EmbeddedError(f"PostgreSQL does not stop: read {self.log}")

    def reload(self) -> None:
        """Let a running server read its settings again."""
        if self._is_alive():
            self.account.run(self.bin / "pg_ctl", "-D", self.data, "reload")

    def _launch(self) -> str:
        """Start the server; "" when it came up, else the last thing it complained of."""
        if self.log.exists() and self.log.stat().st_size > _LOG_SIZE:
            self.log.replace(self.log.with_suffix(".log.old"))
        if not self.log.exists():
            self.log.touch(mode=0o600)
            self.account.give(self.log)
        start = self.log.stat().st_size
        options = (
            "-c listen_addresses='' -c unix_socket_permissions=0700"
            f" -c port={PORT} -c unix_socket_directories='{self.socket_folder}'"
        )
        command = ("-D", self.data, "-s", "-w", "-t", "30", "-l", self.log, "-o", options, "start")
        if self.account.run(self.bin / "pg_ctl", *command, output=False).returncode == 0 or self._is_alive():
            return ""
        with open(self.log, "rb") as log:
            log.seek(start)
            lines = log.read().decode(errors="replace").splitlines()
        complaints = [line.split("FATAL:", 1)[1].strip() for line in lines if "FATAL:" in line]
        return (complaints or lines or ["it said nothing"])[-1]

    def _pid(self) -> int | None:
        try:
            return int((self.data / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None

    def _is_alive(self) -> bool:
        """True when the process that the data folder names is a living server of this very folder.

        A number alone says nothing: after a restart of a container another process has it, and a server that
        nobody has waited for keeps it as a zombie.
        """
        pid = self._pid()
        if pid is None:
            return False
        if sys.platform == "linux":
            try:
                return Path(os.readlink(f"/proc/{pid}/cwd")) == self.data
            except OSError:
                return False
        return f"-D {self.data}" in self.account.run("/bin/ps", "-o", "args=", "-p", str(pid)).stdout

    def _forget_the_dead(self) -> None:
        """Remove lock files that name a process which is not this server, but lives or can't be told from one.

        PostgreSQL does so itself for numbers that nobody has.
        """
        pid = self._pid()
        if pid is not None and _exists(pid):
            for path in (self.data / "postmaster.pid", self.socket_folder / f".s.PGSQL.{PORT}.lock"):
                path.unlink(missing_ok=True)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
