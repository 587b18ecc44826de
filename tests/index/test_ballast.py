"""Bytes that are set aside for the index of a disk that is full."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

from edge.index import ballast as module
from edge.index.ballast import Ballast

MIB = 1024 * 1024


def test_it_takes_real_room_and_gives_it_back_once(tmp_path):
    ballast = Ballast(tmp_path / "ballast", MIB)
    ballast.restore()
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= MIB
    assert ballast.missing == 0
    assert ballast.release()
    assert ballast.missing == MIB
    assert not ballast.release()
    ballast.restore()
    assert ballast.missing == 0
    assert [path.name for path in tmp_path.iterdir()] == ["ballast"]


def test_it_is_not_made_again_until_there_is_plenty_of_room(tmp_path, monkeypatch):
    ballast = Ballast(tmp_path / "ballast", MIB)
    free = SimpleNamespace(free=3 * MIB)
    monkeypatch.setattr(module, "shutil", SimpleNamespace(disk_usage=lambda _: free))
    ballast.restore()
    assert (ballast.missing, list(tmp_path.iterdir())) == (MIB, [])
    free.free = shutil.disk_usage(tmp_path).free
    ballast.restore()
    assert ballast.missing == 0
