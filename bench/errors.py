"""Why there is no figure."""

from __future__ import annotations

from collections import Counter


class BenchError(Exception):
    """The bench can't measure; the text is one line that says what happened and what to do."""


class MissingToolError(BenchError):
    """A program that the bench needs is not installed; the text says how to get it."""


def refused(path: str, calls: int, answered: Counter[str]) -> BenchError:
    """That of so many calls not each was answered OK, by the names of the statuses."""
    found = ", ".join(f"{code} {count}" for code, count in sorted(answered.items())) or "none"
    return BenchError(f"{path}: {calls} calls, answered: {found}; failures make no figure")
