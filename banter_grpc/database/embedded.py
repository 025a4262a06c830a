"""A PostgreSQL of our own, for development and tests: data in a folder that persists, a Unix socket, no TCP.

Nothing here has to be cleaned up by hand: whatever is killed at whatever moment, the next `start` makes it whole.
Several processes may use one folder at once; the last one that stops stops the server.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psycopg

from banter_grpc.database import binaries, roles
from banter_grpc.database.account import Account, EmbeddedError, choose, own_name
from banter_grpc.database.postmaster import PORT, Postmaster

__all__ = ["OWNER", "EmbeddedError", "EmbeddedPostgres"]

OWNER = "banter"
"""The owner's role, a superuser of its own cluster, and the name of the database."""

_SETTINGS = """
# Banter's own; PostgreSQL's defaults are kept for everything that keeps data safe.
max_connections = 200
"""

_UNFINISHED = "data.new."

_HBA = "local all all peer map=banter\nlocal replication all peer map=banter\n"


class EmbeddedPostgres:
    """The server whose data is in `folder`. Everything may raise `EmbeddedError`.

    `search` are folders of PostgreSQL's programs to choose from, best first; without it the installed ones.
    """

    def __init__(self, folder: Path, *, search: Iterable[Path] | None = None) -> None:
        self.folder = folder.expanduser().resolve()
        self._search = None if search is None else list(search)
        self._data = self.folder / "data"
        self._users: IO[str] | None = None
        self._binaries: binaries.Binaries | None = None
        self._socket_folder = _socket_folder(self.folder)

    @property
    def installation(self) -> binaries.Binaries:
        """The PostgreSQL that runs; known once it was started."""
        if self._binaries is None:
            raise EmbeddedError("the embedded PostgreSQL was not started: call start() first")
        return self._binaries

    @property
    def bin(self) -> Path:
        """The folder of this server's programs, psql among them; known once it was started."""
        return self.installation.bin

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "server.log"

    def url(self, user: str = OWNER, database: str = OWNER) -> str:
        """The URL of a database for a role: `banter`, the owner, or `banter_service`."""
        # With the port, lest PGPORT of the environment has a say.
        address = f"host={quote(str(self._socket_folder))}&port={PORT}"
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{address}"

    def is_running(self) -> bool:
        """True while a server accepts connections at the socket: cheap enough to ask every second."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self._socket_folder / f".s.PGSQL.{PORT}"))
            except OSError:
                return False
        return True

    def start(self) -> None:
        """Return with a server that answers, a database and both roles: made, started or just found.

        Calling it again is safe and quick, and brings back a server that died.
        """
        with self._exclusively() as account:
            self._join()
            try:
                self._bring_up(account)
            except BaseException:
                self._leave()
                raise

    def stop(self) -> bool:
        """Stop the server unless another process uses it; true when it is down."""
        with self._exclusively() as account:
            users = self._join()
            try:
                # Not atomic, so that our own share may be lost; but nobody starts or stops beside us.
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._data.exists():
                    self._postmaster(account).stop()
                if self.folder not in self._socket_folder.parents:
                    shutil.rmtree(self._socket_folder, ignore_errors=True)
                return True
            except BlockingIOError:
                return False
            finally:
                self._leave()

    @contextmanager
    def _exclusively(self) -> Generator[Account]:
        """The account to work under, while no other process starts or stops this server; errors become one line."""
        try:
            _make_folder(self.folder, choose(self._data))
            with open(self.folder / "start.lock", "a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield choose(self._data)  # again: who waited may find data that another has made
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise EmbeddedError(
                f"{error.filename or self.folder}: {reason.lower()}; choose another folder with --data-dir"
            ) from error

    def _join(self) -> IO[str]:
        """Count as a user: a shared lock for life, which the kernel drops when this process is killed."""
        if self._users is None:
            self._users = open(self.folder / "users.lock", "a")  # noqa: SIM115 - open for life
        fcntl.flock(self._users, fcntl.LOCK_SH)
        return self._users

    def _leave(self) -> None:
        if self._users is not None:
            self._users.close()
            self._users = None

    def _bring_up(self, account: Account) -> None:
        postmaster = self._postmaster(account)
        self._sweep()
        if not self._data.exists():
            self._initialise(account)
        if self._allow(account):
            postmaster.reload()
        _make_socket_folder(self._socket_folder, account)
        postmaster.ensure()
        self._provision()

    def _postmaster(self, account: Account) -> Postmaster:
        search = binaries.candidates() if self._search is None else self._search
        self._binaries = binaries.pick(search, account, self.folder, _version(self._data))
        return Postmaster(self._binaries.bin, account, self._data, self._socket_folder, self.log)

    def _sweep(self) -> None:
        """Remove clusters that were never finished; an initdb may still write to one when its parent was killed."""
        for left in self.folder.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _initialise(self, account: Account) -> None:
        """Make the cluster beside its place and move it there: a killed initdb leaves no half of one."""
        new = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder))
        account.give(new)
        if self.installation.major >= 17:
            locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        else:  # lower() of a plain C locale knows ASCII only, and names are compared by it
            locale = ["--locale=C", "--lc-ctype=C.UTF-8"]
        done = account.run(self.bin / "initdb", "-D", new, "-U", OWNER, "-A", "peer", "-E", "UTF8", "-k", *locale)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if "error:" in line or "FATAL:" in line]
            reason = lines[0] if lines else "initdb failed"
            raise EmbeddedError(f"no database could be made in {self.folder}: {reason}; choose another --data-dir")
        (new / "pg_hba.conf").write_text(_HBA)
        with open(new / "postgresql.conf", "a") as settings:
            settings.write(_SETTINGS)
        os.rename(new, self._data)

    def _allow(self, account: Account) -> bool:
        """Let this process's account, and the server's, be both roles; true when that was new."""
        path = self._data / "pg_ident.conf"
        have = path.read_text().splitlines(keepends=True)
        accounts = sorted({account.name, own_name()})
        wanted = [f"banter {name} {role}\n" for name in accounts for role in (OWNER, roles.SERVICE)]
        missing = [line for line in wanted if line not in have]
        if missing:
            path.write_text("".join([line for line in have if line.startswith("banter ")] + missing))
        return bool(missing)

    def _provision(self) -> None:
        """The database and the roles, made where they are missing."""
        try:
            with psycopg.connect(self.url(database="postgres"), autocommit=True) as connection:
                if connection.execute("SELECT FROM pg_database WHERE datname = %s", [OWNER]).fetchone() is None:
                    connection.execute(f"CREATE DATABASE {OWNER}")
                roles.ensure(connection, login=True)
        except (psycopg.Error, roles.RoleError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise EmbeddedError(f"the embedded PostgreSQL refuses us: {reason} (its log: {self.log})") from error


def _version(data: Path) -> int | None:
    """The major version that made `data`; None where there is no data."""
    if not data.exists():
        return None
    try:
        return int((data / "PG_VERSION").read_text())
    except (FileNotFoundError, ValueError):
        raise EmbeddedError(f"{data} holds no PostgreSQL data: choose another folder with --data-dir") from None


def _socket_folder(folder: Path) -> Path:
    """Below `folder`, unless that is too long for a socket's address or needs quoting in PostgreSQL's settings."""
    here = folder / "run"
    if len(os.fsencode(here)) < 85 and re.fullmatch(r"[\w./+@=-]+", str(here), re.ASCII):
        return here
    # Not TMPDIR: two processes may disagree about that.
    return Path("/tmp", "banter-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:12])  # noqa: S108 - its owner is checked


def _make_socket_folder(folder: Path, account: Account) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or found.st_uid not in (account.uid, os.geteuid()):
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it, or choose another --data-dir")
    account.give(folder)


def _make_folder(folder: Path, account: Account) -> None:
    """Make the folder with its parents, so that the account can enter it; refuse a place that it can't."""
    if re.search(r'["$`\\\r\n]', str(folder)):
        raise EmbeddedError(
            f"{str(folder)!r} has a character that PostgreSQL's tools can't take: choose another --data-dir"
        )
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    existing = missing[-1].parent if missing else folder
    if not existing.is_dir():
        raise EmbeddedError(f"{existing} is no folder: choose another with --data-dir")
    if not account.can_enter(existing):
        raise EmbeddedError(
            f"the account {account.name}, which runs PostgreSQL, can't enter {existing}: choose another --data-dir"
        )
    for path in reversed(missing):
        with suppress(FileExistsError):
            path.mkdir()
            if account.switch:
                path.chmod(0o711)
