"""The security statement is complete, and each "yes" in it is shown by a test or a document."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import edge.disclosure
from edge.disclosure.answer import Reply
from edge.disclosure.statement import ANSWERS, SECTIONS, statement
from tests.documents import TEXT, headings

COPY = Path(edge.disclosure.__file__).with_name("mds2.md")
TESTS = Path(__file__).parents[1]
SHOWN: dict[str, list[str]] = {}
for _line in Path(__file__).with_name("shown.txt").read_text().splitlines()[1:]:
    _number, _shown = _line.split(maxsplit=1)
    SHOWN.setdefault(_number, []).append(_shown)


@cache
def functions_of(name):
    found = ast.walk(ast.parse((TESTS / name).read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, functions)}


def test_it_prints_the_copy_beside_the_package():
    """Mend it by ``edge conformance --security > edge/disclosure/mds2.md``."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", "conformance", "--security"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == COPY.read_text(encoding="utf-8")
    assert done.stdout.strip() == statement().strip()


def test_every_section_has_answers_and_no_number_is_given_twice():
    numbers = [one.number for one in ANSWERS]
    assert len(numbers) == len(set(numbers))
    assert {one.section for one in ANSWERS} == SECTIONS.keys()
    for one in ANSWERS:
        assert f"| {one.number} |" in statement()
        assert "|" not in one.question + one.note


def test_what_is_shown_are_the_answers_that_say_yes():
    assert SHOWN.keys() == {one.number for one in ANSWERS if one.reply is Reply.YES}


@pytest.mark.parametrize("number", SHOWN)
def test_what_shows_it_is_there(number):
    assert SHOWN[number]
    for shown in SHOWN[number]:
        if shown.startswith("# "):
            assert shown[2:] in headings(TEXT), shown
            continue
        file, _, name = shown.partition("::")
        assert name == "*" or name in functions_of(file), shown


def test_commands_and_settings_that_are_named_exist():
    text = statement()
    for path in re.findall(r"`((?:edge|scripts|image)/[\w./-]*\w)`", text):
        assert (TESTS.parent / path).exists(), path
    for script in re.findall(r"`(scripts/\w+)", text):
        assert (TESTS.parent / script).exists()
