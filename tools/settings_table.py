"""Write the README's table of settings from the class that has them.

uv run python tools/settings_table.py
"""

from __future__ import annotations

from pathlib import Path

from banter_grpc.config import Settings

BEGIN, END = "<!-- settings: made by tools/settings_table.py -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """The table, in Markdown."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default is None or default == () else f"`{str(default).lower()}`"
        lines.append(f"| `BANTER_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(lines) + "\n"


def replaced(text: str) -> str:
    """The README's text with the table as it has to be."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    readme = Path(__file__).parent.parent / "README.md"
    readme.write_text(replaced(readme.read_text()))
