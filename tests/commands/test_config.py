"""``edge config``: what is set, where that was said, and the box's own settings, changed."""

from __future__ import annotations

import json

import pytest

from edge.__main__ import main
from edge.loading import load


@pytest.fixture
def file(started):
    """The configuration of a box that was started once."""
    return started('name = "clinic"\n')


def edge(*words):
    return main(["config", *map(str, words)])


def test_what_is_not_as_by_default_is_shown_with_where_it_was_said(file, capsys):
    assert edge("show", "--config", file) == 0
    out = capsys.readouterr().out
    assert f'appliance.name = "clinic"  # fixed by {file}:3' in out
    assert "sync.sweep_minutes" not in out


def test_everything_is_shown_for_programs(file, capsys):
    assert edge("show", "--all", "--json", "--config", file) == 0
    known = {one["key"]: one for one in json.loads(capsys.readouterr().out)}
    assert known["sync.sweep_minutes"]["value"] == 15
    assert "appliance.data_dir" not in known


def test_a_setting_is_set_and_unset(file, capsys):
    assert edge("set", "sync.sweep_minutes", "5", "--config", file) == 0
    assert "from the next start on" in capsys.readouterr().out
    assert load(file, {}).sync.sweep_minutes == 5
    assert edge("show", "sync.sweep_minutes", "--config", file) == 0
    assert "sync.sweep_minutes = 5.0  # set on this box" in capsys.readouterr().out
    assert edge("unset", "sync.sweep_minutes", "--config", file) == 0
    assert load(file, {}).sync.sweep_minutes == 15


def test_what_does_not_load_is_unset_all_the_same(file, tmp_path, capsys):
    own = tmp_path / "box" / "settings.toml"
    own.write_text("[sync]\nsweep_minutes = 0\nnothing = 1\nfeed_seconds = 20\n")
    assert edge("unset", "sync.feed_seconds", "--config", file) == 2
    assert "settings.toml" in capsys.readouterr().err
    assert edge("unset", "sync.sweep_minutes", "sync.nothing", "--config", file) == 0
    assert "from the next start on" in capsys.readouterr().out
    assert load(file, {}).sync.feed_seconds == 20
    # What is not at fault there, or not there, is not mended here.
    own.write_text("[sync]\nsweep_minutes = 0\n")
    assert edge("unset", "sync.feed_seconds", "--config", file) == 2
    assert "settings.toml:2: sync.sweep_minutes must be" in capsys.readouterr().err
    file.write_text(file.read_text() + "[sync]\nnothing = 1\n")
    assert edge("unset", "sync.sweep_minutes", "--config", file) == 2
    assert "edge.toml:5: sync.nothing" in capsys.readouterr().err
    assert "sweep_minutes" in own.read_text()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("sync.sweep_minutes", "0", "must be 0.1 at the least"),
        ("sync.nothing", "1", "not a known key"),
        ("appliance.name", "other", "is fixed by"),
        ("appliance.data_dir", "/tmp", "can't be set here"),
    ],
)
def test_what_can_not_be_is_refused(file, capsys, key, value, words):
    assert edge("set", key, value, "--config", file) == 2
    assert words in capsys.readouterr().err


def test_what_guards_the_box_is_set_here(file):
    assert edge("set", "audit.keep_days", "3000", "--config", file) == 0
    assert load(file, {}).audit.keep_days == 3000


def test_a_configuration_that_is_sound_is_said_to_be(file, capsys):
    assert edge("check", "--config", file) == 0
    assert str(file) in capsys.readouterr().out


def test_what_is_wrong_with_one_is_said(file, capsys):
    file.write_text(file.read_text() + "[sync]\nsweep_minutes = 0\n")
    assert edge("check", "--config", file) == 2
    assert "edge.toml:5" in capsys.readouterr().err
