"""Where the files that are no Python are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_WHEEL = _PACKAGE / "_data"


def in_checkout() -> bool:
    """True where the files are a person's own, to be edited; false in an installed wheel."""
    return not _WHEEL.is_dir()


def sql() -> Path:
    """The folder of named queries, one file per stem."""
    return _PACKAGE.parent / "sql" if in_checkout() else _WHEEL / "sql"


def migrations() -> Path:
    """The folder of migrations."""
    return _PACKAGE.parent / "migrations" if in_checkout() else _WHEEL / "migrations"


def contract_image() -> Path:
    """The contract as one self-contained descriptor set, `banter.binpb`."""
    return _PACKAGE.parent / "build" / "gen" / "banter.binpb" if in_checkout() else _WHEEL / "banter.binpb"
