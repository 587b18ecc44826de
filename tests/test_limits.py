"""The manual's table of what comes in is that of the code, and each line of it has a test."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.documents import rows
from tests.limits import LINES

TESTS = Path(__file__).parent
TABLE = {row[0]: row[1:] for row in rows("security", "## What comes in, and how much of it")}


@cache
def functions_of(name):
    found = ast.walk(ast.parse((TESTS / name).read_text()))
    return {
        node.name for node in found if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_the_table_has_all_lines_and_no_other():
    assert list(TABLE) == list(LINES)


@pytest.mark.parametrize("line", LINES)
def test_its_numbers_are_those_of_the_code(line):
    found = re.findall(r"(?<![a-z])[0-9][0-9,.]*(?<![,.])", TABLE[line][0])  # no "IPv6"
    said = [float(number.replace(",", "")) for number in found]
    assert said == [float(number) for number in LINES[line][0]]


@pytest.mark.parametrize("line", LINES)
def test_what_happens_then_is_said_and_tested(line):
    assert TABLE[line][1]
    assert LINES[line][1]
    for named in LINES[line][1]:
        file, _, test = named.partition("::")
        assert test in functions_of(file), named
