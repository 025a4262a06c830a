"""What all errors are that a command says in one line."""

from __future__ import annotations


class ForeseenError(Exception):
    """It was foreseen that this can go wrong: no defect of ours. The text is for people, in one line."""
