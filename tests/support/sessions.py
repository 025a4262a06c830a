"""Pages with sessions on them, run as a person would who pastes their commands one by one.

What a block of code is, stands behind its first fence:

- ``console``: commands after ``$ ``, continued by a backslash, and what they print. Ids, tokens, times and
  hashes may differ; ``...`` on a line of its own stands for any lines, and within a line for any text.
- ``console server``: one command that runs on, in a terminal of its own, until the page ends. What it prints
  has to come.
- ``console install``: as the first, but run only where `BANTER_TEST_INSTALL` is set, since it takes a network.
- ``python NAME`` (or any other language): the content of a file.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.command import environment
from tests.support.processes import ROOT, eventually

_SECONDS, _SECONDS_TO_INSTALL = 60, 300
_COPIED = {"protos", "client", "docs", "tools"}
_MARK = "=== done:"
_VARIABLE = {
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}": "<id>",
    r"[\w-]{10,}\.[\w-]{10,}\.[\w-]{20,}": "<token>",
    r"\\x[0-9a-f]{8,}|\b[0-9a-f]{64}\b": "<bytes>",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)": "<time>",
}
_CURL = f"""#!{sys.executable}
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[-1], timeout=10).read().decode(), end="")
"""


@dataclass(frozen=True)
class Command:
    """A command of a page, and what it prints there; `kind` is what its block is marked with, or nothing.

    Of the kind `file`, `text` is a file's name and `output` its content.
    """

    line: int
    kind: str
    text: str
    output: str


def commands_of(page: str) -> Iterator[Command]:
    """The commands of a page, in their order."""
    for block in re.finditer(r"^```(\w+) ?(\S*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        language, kind, content = block.groups()
        begin = page[: block.start(3)].count("\n") + 1
        if language != "console":
            if kind:
                yield Command(begin, "file", kind, content)
            continue
        text, output = "", ""
        for number, line in enumerate(content.splitlines(), begin):
            if line.startswith("$ "):
                if text:
                    yield Command(begin, kind, text, output)
                begin, text, output = number, line[2:], ""
            elif text.endswith("\\"):
                text += f"\n{line}"
            else:
                assert text, f"line {number} is printed by no command"
                output += f"{line}\n"
        yield Command(begin, kind, text, output)


def pattern(output: str) -> re.Pattern[str]:
    """What a command's output has to match."""
    lines = [_same(line) for line in output.splitlines()]
    parts = [
        r"(?:.*\n)*?" if line.strip() == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n" for line in lines
    ]
    return re.compile("".join(parts))


def _same(text: str) -> str:
    """The text with one word for whatever differs from run to run."""
    for varying, word in _VARIABLE.items():
        text = re.sub(varying, word, text)
    return "\n".join(line.replace("\t", "  ").rstrip() for line in text.splitlines())


class Session:
    """A shell in a folder that looks like a clone, and what was started in it; leaving the block ends all of it.

    `replaced` says what stands on the page and is something else here: ports, URLs. `uv run` runs what is installed, by
    the names that are on the PATH.
    """

    def __init__(self, folder: Path, replaced: dict[str, str], **settings: object) -> None:
        self._folder = folder
        self._replaced = replaced
        self._servers: list[subprocess.Popen[bytes]] = []
        clone, programs = folder / "clone", folder / "bin"
        clone.mkdir()
        programs.mkdir()
        for path in ROOT.iterdir():
            if path.name in _COPIED:
                shutil.copytree(path, clone / path.name)
            elif not path.name.startswith(".") and path.name != "dist":
                (clone / path.name).symlink_to(path)
        self._program(
            "uv", f'#!/bin/sh\n[ "$1" = run ] || exec "{shutil.which("uv") or "uv"}" "$@"\nshift\nexec "$@"\n'
        )
        if shutil.which("curl") is None:
            self._program("curl", _CURL)
        given = environment(**settings)
        self._environment = {**given, "HOME": str(folder), "PATH": f"{programs}:{given['PATH']}", "NO_COLOR": "1"}
        self._clone = clone
        self._shell = self._start(["bash", "--norc", "--noprofile"], subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for process in self._servers:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._servers:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        for process in (*self._servers, self._shell):
            # A group has the number of the process that began it, which is ours until that one is waited for.
            if process is self._shell or process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    def run(self, page: str) -> None:
        """Run every command of a page; raises `AssertionError` naming the line where something else came out."""
        install = bool(os.environ.get("BANTER_TEST_INSTALL"))
        for command in commands_of(page):
            if command.kind == "server":
                self._serve(command)
            elif command.kind == "file":
                (self._clone / command.text).write_text(self._here(command.output))
            elif command.kind != "install" or install:
                self._run(command)

    def _run(self, command: Command) -> None:
        assert self._shell.stdin is not None and self._shell.stdout is not None
        # The next command may ask for `$?`.
        after = f"_status=$?; printf '\\n{_MARK} %s\\n' $_status; (exit $_status)"
        self._shell.stdin.write(f"{self._here(command.text)}\n{after}\n".encode())
        self._shell.stdin.flush()
        printed = b""
        seconds = _SECONDS_TO_INSTALL if command.kind == "install" else _SECONDS
        end = time.monotonic() + seconds
        while not re.search(rb"\n" + _MARK.encode() + rb" \d+\n$", printed):
            ready, _, _ = select.select([self._shell.stdout], [], [], max(0.0, end - time.monotonic()))
            assert ready, (
                f"line {command.line}: {command.text}\ndid not end in {seconds} s; it printed\n{printed.decode()}"
            )
            found = os.read(self._shell.stdout.fileno(), 65536)
            assert found, f"line {command.line}: {command.text}\nended the shell; it printed\n{printed.decode()}"
            printed += found
        text, _, status = self._there(printed.decode()).rpartition(f"\n{_MARK} ")
        said = f"{_same(text)}\n" if text.strip() else ""
        fits = pattern(command.output).fullmatch(said)
        failed = not command.output and int(status)
        assert fits and not failed, f"line {command.line}: {command.text}\nstatus {status.strip()}; it printed\n{text}"

    def _serve(self, command: Command) -> None:
        file = self._folder / f"server-{len(self._servers)}"
        with file.open("wb") as out:
            server = self._start(["bash", "-c", f"exec {self._here(command.text)}"], None, out)
        self._servers.append(server)
        wanted = pattern(command.output)

        def printed() -> str:
            return f"{_same(self._there(file.read_text()))}\n"

        try:
            eventually(lambda: server.poll() is not None or wanted.match(printed()) is not None, _SECONDS)
            assert server.poll() is None
        except AssertionError as error:
            raise AssertionError(f"line {command.line}: {command.text}\nprinted\n{file.read_text()}") from error

    def _start(self, command: list[str], stdin: int | None, out: object = subprocess.PIPE) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            cwd=self._clone,
            env=self._environment,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=out,  # type: ignore[arg-type]
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _program(self, name: str, text: str) -> None:
        path = self._folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def _here(self, text: str) -> str:
        for on_page, here in self._replaced.items():
            text = text.replace(on_page, here)
        return text

    def _there(self, text: str) -> str:
        for on_page, here in self._replaced.items():
            text = text.replace(here, on_page)
        return text
