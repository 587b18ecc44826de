"""Each line of the attack models has tests, and each of those tests is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import edge.access
import edge.access.oidc
import edge.cage
import edge.crypto

TESTS = Path(__file__).parents[1]
MODEL = [
    line.split(": ", 1)
    for line in Path(__file__).with_name("model.txt").read_text().splitlines()
    if not line.startswith("#")
]
PACKAGES = {
    "access": edge.access,
    "oidc": edge.access.oidc,
    "crypto": edge.crypto,
    "cage": edge.cage,
}


def lines_of(package):
    """What somebody tries: what stands where the others stand, up to two blanks."""
    text = package.__doc__
    if package is edge.cage:
        table = text[text.index("he wants") : text.index("\n\nA call")]
        return set(re.findall(r"^    (\S.*?)(?:  .*)?$", table, re.MULTILINE)) - {"he wants"}
    return set(re.findall(r"^        (\S.{0,22}\S|\S.*?)(?:  .*|)$", text, re.MULTILINE))


@cache
def functions_of(name):
    found = ast.walk(ast.parse((TESTS / name).read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, functions)}


@pytest.mark.parametrize("name", PACKAGES)
def test_every_line_of_a_model_has_a_test(name):
    text = " ".join(PACKAGES[name].__doc__.split())
    tried = {line for line, _ in MODEL if line in text}
    assert len(tried) >= 8
    missing = lines_of(PACKAGES[name]) - {line for line, _ in MODEL}
    assert not missing


def test_no_line_is_of_no_model():
    text = " ".join(" ".join(it.__doc__.split()) for it in PACKAGES.values())
    assert [line for line, _ in MODEL if line not in text] == []


@pytest.mark.parametrize("test", sorted({test for _, test in MODEL}))
def test_the_test_is_there(test):
    file, _, name = test.partition("::")
    assert name in functions_of(file)
