"""A box that was restored runs: that holds once it is in the audit."""

from __future__ import annotations

import asyncio
import errno
from types import SimpleNamespace

import pytest

from edge import replacing as starting
from edge.cache import replacing


@pytest.fixture
def folder(tmp_path):
    """One that was restored, at its first start."""
    with replacing.held(tmp_path) as stage:
        (stage / "index.db").write_text("restored")
    replacing.decide(tmp_path, replacing.Replacing("radiology", 1.0, "stick"))
    replacing.begin(tmp_path)
    return tmp_path


class Record:
    """The audit, on a disk that may be full."""

    def __init__(self):
        self.is_full = True
        self.entries = []

    async def record(self, entry):
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.entries.append(entry)


async def test_that_it_can_not_be_recorded_ends_no_service_and_is_made_up_for(folder):
    """Before, the service ended, with the images that it had taken in by then."""
    audit = Record()
    with pytest.raises(OSError, match="No space"):  # nothing came in: the first day's comes back
        await starting.settle(folder, SimpleNamespace(audit=audit))
    (folder / "objects").mkdir()
    (folder / "objects/image").touch()
    for _ in range(5):
        await starting.settle(folder, SimpleNamespace(audit=audit))
        assert await asyncio.to_thread(replacing.begin, folder)
    audit.is_full = False
    await starting.settle(folder, SimpleNamespace(audit=audit))
    assert [entry.what for entry in audit.entries] == ["edge restore"]
    assert not await asyncio.to_thread(replacing.is_anything, folder)
    assert (folder / "index.db").read_text() == "restored"
