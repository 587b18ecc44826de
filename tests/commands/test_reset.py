"""``edge reset``: nobody does it by accident."""

from __future__ import annotations

import pytest

from edge.__main__ import main


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
