"""README and the manual, as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["MANUAL", "README", "ROOT", "TEXT", "headings", "rows"]

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MANUAL = {path.stem: path.read_text() for path in sorted((ROOT / "manual").glob("*.md"))}
"""Its pages by name."""
TEXT = "\n".join((README, *MANUAL.values()))
"""All of it."""

_CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def rows(page: str, start: str = "# ") -> list[list[str]]:
    """The cells of a page's first table after a line that begins like this."""
    text = f"\n{MANUAL[page]}"
    table = re.search(r"\n\|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)", text[text.index(f"\n{start}") :])
    assert table is not None, f"{page} has no table after {start}"
    return [[cell.strip() for cell in line[1:-1].split(" | ")] for line in table[1].splitlines()]


def headings(text: str) -> list[str]:
    """Of a page, in its order."""
    return re.findall(r"^#+ (.*)$", _CODE.sub("", text), re.MULTILINE)
