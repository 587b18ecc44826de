"""The list of what was seen in the field names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.hostile import conftest

FOLDER = Path(__file__).parent


def test_whatever_was_seen_in_the_field_has_its_test():
    listed = set(re.findall(r"\btest_\w+(?!\.py)\b", conftest.__doc__)) - {"test_list"}
    there = {
        name
        for path in FOLDER.glob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert listed - there == set()
    assert len(listed) > 35
