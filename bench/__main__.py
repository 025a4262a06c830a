"""The command: `uv run python -m bench --help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from banter_grpc.cli.signals import interrupted_once
from bench import aims, document, layers, load, machine, markdown, report
from bench.errors import BenchError, MissingToolError
from bench.options import Options, parse
from bench.run import run

_RESULTS = Path(__file__).parent / "results"
_LAYER_REPEATS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the bench; 0 with figures, 1 without, 2 where a program is missing, 130 when interrupted."""
    options = parse(arguments)
    try:
        with interrupted_once():
            _run(options)
    except MissingToolError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything is stopped and removed", file=sys.stderr)
        return 130
    return 0


def _run(options: Options) -> None:
    if sys.platform != "linux":
        raise BenchError("the bench reads CPU times from Linux's /proc: run it on Linux")
    if options.layers_only:
        print(report.layer_list(layers.measure(_LAYER_REPEATS)))
        return
    made = datetime.now(UTC)
    program = load.find()
    if options.markdown is not None:
        markdown.check(options.markdown)
    selection = options.selection
    _say(f"{selection.measurements} measurements, about {max(1, round(selection.about_seconds / 60))} min")
    if (warning := report.warning(machine.load())) is not None:
        _say(warning)
    _say("the layers around a handler")
    found = layers.measure(_LAYER_REPEATS)
    surroundings, results, failures = run(program, selection, options.settings, _say)
    judged = aims.aims(results, found)
    path = options.json or _RESULTS / f"{made:%Y%m%dT%H%M%SZ}.json"
    everything = (made.isoformat(timespec="seconds"), surroundings, options.settings, results, found, judged)
    document.write(path, *everything)
    if options.markdown is not None:
        markdown.write(options.markdown, markdown.text(*everything))
    print(report.machine_line(surroundings), report.table(results), report.layer_list(found), sep="\n")
    print(report.aim_list(judged), f"JSON: {path}", sep="\n")
    if failures:
        raise BenchError(f"{len(failures)} without figures; {failures[0]}")


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
