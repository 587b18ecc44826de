"""What ``edge status`` prints beside numbers."""

from __future__ import annotations

from types import SimpleNamespace

from edge.commands import status


def test_parts_and_cages_that_are_not_as_they_should_be_are_named(capsys):
    parts = {"dimse": "running", "push": "failed: no, starts again in 1 s"}
    cages = {"pixels": "seccomp: Function not implemented", "memory": "swap is on"}
    found = {"objects": "1 object can't be read"}
    status._print_parts(SimpleNamespace(parts=parts, cages=cages, found=found))
    assert capsys.readouterr().out == (
        "  swap is on\n"
        "  the cage of pixels lacks seccomp: Function not implemented\n"
        "  objects: 1 object can't be read\n"
        "  push: failed: no, starts again in 1 s\n"
    )
