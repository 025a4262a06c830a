"""Why there is no figure."""

from __future__ import annotations


class BenchError(Exception):
    """The bench can't measure; the text is one line that says what happened and what to do."""


class MissingToolError(BenchError):
    """A program that the bench needs is not installed; the text says how to get it."""
