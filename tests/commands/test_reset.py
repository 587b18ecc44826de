"""``edge reset``: nobody does it by accident."""

from __future__ import annotations

import pytest

from edge.__main__ import main
from edge.resetting import BEGUN
from tests import program


@pytest.fixture
def edge(tmp_path, started):
    file = started('name = "radiology"\n')
    nowhere = tmp_path / "nowhere"
    return lambda *words: main(["reset", *words, "--root", str(nowhere), "--config", str(file)])


def test_it_is_done_by_who_names_the_box(edge, tmp_path, capsys):
    assert edge("--yes", "cardiology") == 2
    assert "this box is called radiology" in capsys.readouterr().err
    assert (tmp_path / "box/keys.db").exists()
    assert edge("--yes", "radiology") == 0
    assert "as on its first day" in capsys.readouterr().out
    assert not list((tmp_path / "box").iterdir())


def test_who_does_not_say_it_is_asked(edge, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.readline", lambda: "\n", raising=False)
    assert edge() == 2
    assert "Everything on this box is destroyed" in capsys.readouterr().err
    assert (tmp_path / "box/keys.db").exists()


def test_a_start_finishes_what_was_cut_short(started, tmp_path):
    # It is no longer than that: nothing can be listened on there (RFC 5737).
    file = started('[dimse]\nlisten = "203.0.113.1:104"\n[http]\nlisten = "127.0.0.1:0"\n')
    folder = tmp_path / "box"
    before = (folder / "keys.db").read_bytes()
    (folder / BEGUN).touch()
    done = program.run("serve", "--config", file)
    assert "203.0.113.1" in done.stderr
    assert "a factory reset was cut short" in done.stderr
    assert not (folder / BEGUN).exists()
    assert (folder / "keys.db").read_bytes() != before  # of a new box
