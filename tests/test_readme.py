"""The README says what is so."""

from __future__ import annotations

import re

from tests.support.command import output_of
from tests.support.contract import ROOT
from tools.settings_table import replaced

README = (ROOT / "README.md").read_text()


def test_its_table_of_settings_is_that_of_the_class() -> None:
    assert replaced(README) == README, "run: uv run python tools/settings_table.py"


def test_its_table_of_commands_is_that_of_the_command() -> None:
    named = {
        word
        for cell in re.findall(r"^\| (`banter [^|]+) \|", README, re.MULTILINE)
        for word in re.findall(r"banter (\w+)", cell)
    }
    listed = re.findall(r"^│ (\w+) {2,}\S", output_of("--help"), re.MULTILINE)
    assert named == set(listed)


def test_the_documents_link_to_what_is_there() -> None:
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(?:#([^)]*))?\)", path.read_text()):
            linked = path.parent / target if target else path
            assert linked.exists(), f"{path} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
                anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in anchors, f"{path} links to {target}#{anchor}"
