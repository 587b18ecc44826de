"""Each line of the attack models, and each kind of attack, has tests, and each of those is there.

``python -m tests.attack`` runs them all, and prints what shows which.
"""

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
from edge.crypto import chain, custodian, keys, providers
from edge.crypto.providers import network

TESTS = Path(__file__).parents[1]


def table_of(name):
    """What is tried -> a test that shows what is found."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [line.split(": ", 1) for line in lines if not line.startswith("#")]


MODEL, SHOWN = table_of("model.txt"), table_of("kinds.txt")
KINDS = (
    "the disk is searched",
    "every route is tried by every role",
    "every route is tried with no proof",
    "every route is tried with a proof that is wrong, expired or revoked",
    "every DICOM service is tried by every right",
    "every DICOM service is tried by who is no peer",
    "every DICOM service is tried with a proof that is wrong, expired or revoked",
    "cross-site requests",
    "DNS rebinding",
    "timing",
    "session fixation",
    "brute force at a name",
    "brute force from an address",
    "path traversal",
    "header injection",
    "log injection",
    "TLS downgrade of the HTTP port and of the DICOM port",
    "TLS downgrade of a locked box",
    "TLS downgrade of what the box calls",
    "a sealed object is changed",
    "a page of the index is changed",
    "the write-ahead log is changed",
    "a wrapped key is changed",
    "an entry of the audit is changed",
    "a rotation of keys is killed",
    "a hostile peer sends whatever",
)
PACKAGES = {
    "access": edge.access,
    "oidc": edge.access.oidc,
    "crypto": edge.crypto,
    "cage": edge.cage,
    "providers": providers,
    "custodian": custodian,
    "network": network,
    "keys": keys,
    "chain": chain,
}
SENTENCES = {
    network: ("a thief with the box must reach a server", "listens on the wire, or plays a server"),
    keys: (
        "who has the disk without the root secret",
        "Who erased a study",
        "Who changes a byte",
        "Who puts back both copies of an earlier day",
    ),
    chain: (
        "can't read, make or change a record",
        "one that was moved, repeated or taken from another segment",
        "one that was left out",
        "one that was exchanged for an older record",
        "their very end was cut off, or that all of them were exchanged",
    ),
}
"""What somebody tries, where that is no table."""


def lines_of(package):
    """What somebody tries: what stands where the others stand, up to two blanks."""
    text = package.__doc__
    if package in SENTENCES:
        plain = " ".join(text.split())
        return {sentence for sentence in SENTENCES[package] if sentence in plain}
    if package is providers:
        return {f"provider {name}" for name in re.findall(r"^``(\S+)`` ", text, re.MULTILINE)}
    if package is custodian:
        table = text[text.index("Attack model") : text.index("Who deletes")]
        return {f"locked, {it}" for it in re.findall(r"^    (\S.*?)   ", table, re.MULTILINE)}
    if package is edge.cage:
        table = text[text.index("he wants") : text.index("\n\nA call")]
        return set(re.findall(r"^    (\S.*?)(?:  .*)?$", table, re.MULTILINE)) - {"he wants"}
    return set(re.findall(r"^        (\S.{0,22}\S|\S.*?)(?:  .*|)$", text, re.MULTILINE))


@cache
def functions_of(name):
    found = ast.walk(ast.parse((TESTS / name).read_text()))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in found if isinstance(node, functions)}


LINES = [(name, line) for name, package in PACKAGES.items() for line in sorted(lines_of(package))]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_model_is_read(name):
    package = PACKAGES[name]
    least = {providers: 4, custodian: 3} | {it: len(those) for it, those in SENTENCES.items()}
    assert len(lines_of(package)) >= least.get(package, 8)


def test_no_model_is_left_out():
    """Whatever says that it is one is read here; `edge.crypto`'s table is said by its beginning."""
    root = Path(edge.__file__).parent
    found = {
        path.relative_to(root.parent)
        for path in root.rglob("*.py")
        if re.search(r"^Attack model", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    known = {Path(package.__file__).relative_to(root.parent) for package in PACKAGES.values()}
    assert found <= known


@pytest.mark.parametrize(("name", "line"), LINES, ids=[": ".join(each) for each in LINES])
def test_a_line_of_a_model_has_a_test(name, line):
    assert [test for tried, test in MODEL if tried == line]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_of_attack_has_a_test(kind):
    assert [test for shown, test in SHOWN if shown == kind]


def test_no_line_is_of_no_model_and_no_kind_is_unknown():
    known = {line for _, line in LINES}
    assert [line for line, _ in MODEL if line not in known] == []
    assert [kind for kind, _ in SHOWN if kind not in KINDS] == []


@pytest.mark.parametrize("test", sorted({test for _, test in MODEL + SHOWN}))
def test_the_test_is_there(test):
    file, _, name = test.partition("::")
    assert name in functions_of(file)
