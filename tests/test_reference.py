"""The reference of the API says what the contract says."""

from __future__ import annotations

from pathlib import Path

import pytest
from buf.validate import validate_pb2
from google.protobuf import text_format
from google.protobuf.descriptor import MethodDescriptor

from banter_grpc.rpc.errors import CODES
from tests.support import contract
from tools.reference import stale
from tools.words import rules_in_words

API = contract.ROOT / "docs" / "api"


def test_every_page_is_that_of_the_contract() -> None:
    assert stale(write=False) == [], "run: uv run python -m tools.reference"


@pytest.mark.parametrize("method", list(contract.methods()), ids=lambda method: method.name)
def test_a_method_is_on_the_page_of_its_service_with_its_errors(method: MethodDescriptor) -> None:
    page = (API / f"{contract.stem(method)}.md").read_text()
    _, _, section = page.partition(f"\n## {method.name}\n")
    errors = next(line for line in section.splitlines() if line.startswith("**Errors**"))
    assert {reason for reason in CODES if f"[{reason}]" in errors} == contract.promised_reasons(method)
    assert f"[{method.name}](#{method.name.lower()})" in page


def test_every_reason_has_its_place() -> None:
    headings = [line for line in (API / "errors.md").read_text().splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted(f"### {reason}" for reason in CODES)


def test_a_page_that_differs_is_found_and_mended_and_one_that_nobody_made_is_removed(tmp_path: Path) -> None:
    (tmp_path / "build").symlink_to(contract.ROOT / "build")
    (tmp_path / "docs").mkdir()
    assert stale(tmp_path, write=True) and stale(tmp_path, write=False) == []
    made = tmp_path / "docs" / "api"
    (made / "user.md").write_text("old")
    (made / "gone.md").touch()
    assert stale(tmp_path, write=False) == [made / "user.md", made / "gone.md"]
    stale(tmp_path, write=True)
    assert sorted(path.name for path in made.iterdir()) == sorted(path.name for path in API.iterdir())
    assert (made / "user.md").read_text() == (API / "user.md").read_text()


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ("", []),
        ("required: true string { uuid: true }", ["required", "a UUID"]),
        ("string { min_len: 1 max_len: 64 }", ["1 to 64 characters"]),
        ('string { max_len: 500 not_contains: "\\000" }', ["at most 500 characters", "without NUL"]),
        ('string { prefix: "https://" uri: true }', ["a URI", "begins with `https://`"]),
        ('string { in: "a" in: "b" }', ["of `a`, `b`"]),
        ('string { pattern: "^x$" }', ["pattern `^x$`"]),
        ('cel { id: "x" message: "must be even" }', ["must be even"]),
        ("int32 { gte: 0 }", ["0 or more"]),
        ("int64 { gte: 1 lte: 5 }", ["1 to 5"]),
        ("int64 { gt: 0 lt: 5 }", ["less than 5", "more than 0"]),
        ("enum { defined_only: true not_in: 0 }", ["a value that the contract has", "none of `0`"]),
        ("repeated { max_items: 3 unique: true }", ["at most 3 of them", "no two alike"]),
        ("repeated { min_items: 1 items { string { uuid: true } } }", ["at least 1 of them", "each a UUID"]),
        ("duration { lte { seconds: 90 } }", ["at most 90 s"]),
        ("bytes { min_len: 16 max_len: 16 }", ["16 bytes"]),
    ],
)
def test_rules_are_said_in_words(rules: str, words: list[str]) -> None:
    assert rules_in_words(text_format.Parse(rules, validate_pb2.FieldRules())) == words
