"""The text of the conformance statement, and its copy beside the package."""

from __future__ import annotations

from pathlib import Path

import edge.dimse
from edge.commands.conformance import WEB
from edge.dimse.statement import statement

COPY = Path(edge.dimse.__file__).parent / "conformance.md"


def test_the_copy_is_what_the_code_writes():
    """If not: ``.venv/bin/edge conformance > edge/dimse/conformance.md``."""
    assert COPY.read_text(encoding="utf-8") == statement(web=WEB)


def test_it_has_the_sections_of_the_standards_outline():
    heads = [line for line in statement(web=WEB).splitlines() if line.startswith("## ")]
    assert [head.partition(" ")[2][0] for head in heads] == list("12345678")
    assert "## 3" not in statement()


def test_tables_are_whole():
    """Each row has as many cells as its head."""
    width = 0
    for line in statement(web=WEB).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = line.count("|")
        assert width in (0, cells), line
        width = cells
