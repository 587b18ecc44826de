"""The style sheet and the templates, as they are written."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path


def test_the_dark_that_is_chosen_is_the_dark_of_the_system():
    css = (resources.files("edge.pages") / "files/page.css").read_text()
    dark = re.findall(
        r':root(?::not\(\[data-theme="light"\]\)|\[data-theme="dark"\]) {([^}]*)}', css
    )
    tokens = [dict(re.findall(r"(--[\w-]+): ([^;]+);", block)) for block in dark]
    assert len(tokens) == 2
    assert len(tokens[0]) > 10
    assert tokens[0] == tokens[1]


def test_a_form_whose_script_did_not_come_puts_nothing_typed_into_an_address():
    """A form goes by GET if it says nothing: a password would be in the browser's history."""
    folder = Path(str(resources.files("edge.pages"))) / "templates"
    forms = [
        form
        for path in folder.rglob("*.html")
        for form in re.findall(r"<form[^>]*>", path.read_text(encoding="utf-8"))
    ]
    typed = [form for form in forms if 'role="search"' not in form]
    assert len(typed) > 10
    assert [form for form in typed if 'method="post"' not in form] == []
