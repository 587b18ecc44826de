"""The tokens of the style sheet."""

from __future__ import annotations

import re
from importlib import resources


def test_the_dark_that_is_chosen_is_the_dark_of_the_system():
    css = (resources.files("edge.pages") / "files/page.css").read_text()
    dark = re.findall(
        r':root(?::not\(\[data-theme="light"\]\)|\[data-theme="dark"\]) {([^}]*)}', css
    )
    tokens = [dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in dark]
    assert len(tokens) == 2
    assert len(tokens[0]) > 10
    assert tokens[0] == tokens[1]
