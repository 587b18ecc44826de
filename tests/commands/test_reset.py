"""``edge reset``: nobody does it by accident."""

from __future__ import annotations

import asyncio

import pytest

from edge import config
from edge.__main__ import main
from edge.app import Appliance


@pytest.fixture
def edge(tmp_path):
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
    )

    async def start_once():
        async with Appliance(loaded):
            pass

    asyncio.run(start_once())
    file = tmp_path / "edge.toml"
    file.write_text(f'[appliance]\nname = "radiology"\ndata_dir = "{tmp_path / "box"}"\n')
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
