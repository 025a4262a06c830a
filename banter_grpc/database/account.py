"""The account of the operating system that the embedded PostgreSQL runs under.

PostgreSQL refuses to run as root, so root lends its server an account without rights.
"""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from banter_grpc.foreseen import ForeseenError


class EmbeddedError(ForeseenError):
    """The embedded PostgreSQL can't be had; the text is one line that says why and what to do."""


_BECOME = (
    "import os, sys; uid, gid, *command = sys.argv[1:];"
    " os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid)); os.execv(command[0], command)"
)
"""Changes the account in a process of its own: subprocess would fork for it, and gRPC minds forks."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account, and whether this process must change to it."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, program: str | Path, *arguments: str | Path, output: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program as this account, with a clean environment, apart from the terminal's signals.

        `output` is false for what leaves a server behind: a pipe that it inherits would never end.
        """
        stream = subprocess.PIPE if output else subprocess.DEVNULL
        become = [sys.executable, "-I", "-S", "-c", _BECOME, str(self.uid), str(self.gid)] if self.switch else []
        return subprocess.run(
            [*become, str(program), *map(str, arguments)],
            check=False,
            cwd="/",  # the account may not be able to enter ours
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C is for us: an initdb that it kills helps nobody
        )

    def give(self, path: Path) -> None:
        """Make the account the owner of `path`, which is no symbolic link."""
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, folder: Path) -> bool:
        """True when the account can reach what is inside `folder`."""
        return self.run("/bin/sh", "-c", 'cd "$1"', "sh", folder).returncode == 0


def choose(data: Path) -> Account:
    """The account for the cluster in `data`: its owner if it exists, else ours, else (for root) a harmless one."""
    me = os.geteuid()
    owner = data.stat().st_uid if data.exists() else None
    if me != 0:
        if owner not in (None, me):
            raise EmbeddedError(f"{data} belongs to {_name(owner)}: run as that account, or choose another --data-dir")
        return Account(_name(me), me, os.getegid(), switch=False)
    if owner:
        entry = pwd.getpwnam(_name(owner))
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_name, entry.pw_uid, entry.pw_gid, switch=True)
    raise EmbeddedError("PostgreSQL refuses root, and there is no account postgres or nobody: run as an ordinary user")


def own_name() -> str:
    """The name of the account that this process runs under, as PostgreSQL sees it at the other end of a socket."""
    return _name(os.geteuid())


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(-1 if uid is None else uid).pw_name
    except (KeyError, OverflowError):
        raise EmbeddedError(
            f"uid {uid} has no name, and PostgreSQL needs one: run as an account of /etc/passwd, or give --database-url"
        ) from None
