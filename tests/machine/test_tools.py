"""The machine's own programs."""

from __future__ import annotations

import pytest

from edge.errors import MachineRefused
from edge.machine.tools import Tools


def test_what_it_printed_comes_back_and_nothing_of_ours_is_around_it(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGE_SECRET", "s")
    program = tmp_path / "tells"
    program.write_text("#!/bin/sh\n/usr/bin/env\necho $*\n")
    program.chmod(0o755)
    tools = Tools(str(tmp_path))
    said = tools.run("tells", "a", "b")
    assert said.endswith("a b\n")
    assert "EDGE_SECRET" not in said
    assert tools.has("tells")
    assert not tools.has("other")


def test_what_goes_wrong_is_said_in_its_words(tmp_path):
    for name, text in (("fails", "echo no >&2; exit 4"), ("sleeps", "exec /bin/sleep 60")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    tools = Tools(str(tmp_path), seconds=0.2)
    with pytest.raises(MachineRefused, match=r"fails failed \(4\): no"):
        tools.run("fails")
    assert tools.run("fails", fine=range(5)) == ""
    with pytest.raises(MachineRefused, match="did not end"):
        tools.run("sleeps")
    with pytest.raises(MachineRefused, match="no other") as caught:
        tools.run("other")
    assert caught.value.hint
