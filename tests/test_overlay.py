"""Settings that a program writes are read as they were, and errors name their lines."""

from __future__ import annotations

import tomllib

import pytest

from edge.overlay import put, take, to_toml

TREE = {
    "sync": {"sweep_minutes": 5.5, "calendar": ["a", 'quoted "b"', "\x7f\u2028é"]},
    "cloud": {"archive": [{"name": "x", "auth": {"kind": "bearer", "token": "é"}}, {"name": "y"}]},
    "access": {"idle_minutes": 3, "oidc": {"roles": {"a group": "viewer"}}},
    "backup": {"archive": False},
    "worklist": {"source": []},
}


def test_what_is_written_is_read_as_it_was():
    assert tomllib.loads(to_toml(TREE)) == TREE


def test_each_value_has_a_line_of_its_own():
    lines = to_toml(TREE).splitlines()
    assert "sweep_minutes = 5.5" in lines
    assert 'name = "x"' in lines
    assert lines.count("[[cloud.archive]]") == 2


def test_a_value_is_put_taken_and_removed():
    tree = put(TREE, ("sync", "verify"), "all")
    assert take(tree, ("sync", "verify")) == "all"
    assert take(TREE, ("sync", "verify")) is None
    assert put(tree, ("sync", "verify"), None) == TREE


def test_a_table_that_is_empty_goes():
    assert put({"sync": {"verify": "all"}}, ("sync", "verify"), None) == {}
    assert put({}, ("sync", "verify"), None) == {}


@pytest.mark.parametrize("keys", [("sync", "verify"), ("nothing",), ("backup", "archive", "more")])
def test_what_is_not_there_is_nothing(keys):
    assert take(TREE, keys) is None
