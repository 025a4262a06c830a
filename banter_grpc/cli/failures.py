"""What went wrong, in one line for the person at the keyboard."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from typing import TYPE_CHECKING

import typer

from banter_grpc.foreseen import ForeseenError

if TYPE_CHECKING:
    from pydantic import ValidationError

INTERRUPTED = 130
"""Exit status of what Ctrl-C ended, as shells have it."""


class CommandError(ForeseenError):
    """The command can't do what it is asked; the text is one line that says why and what to do."""


def tell(error: Exception) -> int:
    """Say it on standard error; the exit status."""
    if isinstance(error, typer.Abort):
        return INTERRUPTED
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        if fault := _sentence(error.format_message()):  # without one the help was printed
            _print(fault + hint)
        return error.exit_code
    line = explain(error)
    if line is None:
        if os.environ.get("BANTER_LOG_LEVEL") == "debug":
            traceback.print_exception(error)
        line = f"a defect of banter, {type(error).__name__}: report it, with what BANTER_LOG_LEVEL=debug shows of it"
    _print(line)
    return 1


def explain(error: Exception) -> str | None:
    """The line for an error that was foreseen; None for any other."""
    if isinstance(error, ImportError):  # nothing of ours can be imported then
        unbuilt = (error.name or "").partition(".")[0] in ("banter", "buf")
        return "the contract's stubs are not built: run uv run python tools/contract.py" if unbuilt else None
    if isinstance(error, ForeseenError):
        return _text(error)
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    if isinstance(error, ValidationError):
        return _settings(error)
    if isinstance(error, SettingsError):
        name = re.search(r'field "(\w+)"', str(error))
        return f"BANTER_{name[1].upper() if name else '*'}: can't be read; write it as JSON, as the README shows"
    return _system(error) if isinstance(error, OSError) else None


def _text(error: Exception) -> str:
    from banter_grpc.database.errors import UnavailableError

    because = error.__cause__ if isinstance(error, UnavailableError) else None
    return f"{error}: {because}" if because else str(error)


def _settings(error: ValidationError) -> str:
    """Names variables and faults; never values, which may be secret."""
    faults: list[str] = []
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        name, *path = (str(part) for part in fault["loc"])
        where = "".join(f"[{part}]" for part in path)
        faults.append(f"BANTER_{name.upper()}{where}: {_sentence(fault['msg'].removeprefix('Value error, '))}")
    return f"{'; '.join(faults)} (the README lists every setting)"


def _system(error: OSError) -> str:
    reason = (error.strerror or type(error).__name__).lower()
    if error.errno == errno.EADDRINUSE:
        return f"{reason}: choose another port for the metrics with --metrics-port"
    return f"{error.filename}: {reason}; choose another place" if error.filename else reason


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _print(text: str) -> None:
    print(f"banter: {' '.join(text.split())}", file=sys.stderr)
