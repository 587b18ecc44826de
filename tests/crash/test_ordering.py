"""Killed between every two steps of ordering an update: it is ordered once, or still wanted."""

from __future__ import annotations

import itertools
import shutil

import pytest

from edge.updates.bundle import open_bundle
from edge.updates.history import Deed
from edge.updates.journal import Folder, State
from edge.updates.signature import read_keys
from edge.updates.stick import found_of
from tests.crash.doomed_updater import doomed_updater, order
from tests.updates.makers import Maker

pytestmark = pytest.mark.blocks  # the tests look into the files themselves


@pytest.fixture
def ready(tmp_path):
    """A box on which version 1.1 is ready, and wanted."""
    maker = Maker(tmp_path / "maker")
    path = maker.bundle()
    (tmp_path / "before").mkdir()
    folder = Folder(tmp_path / "before")
    folder.make()
    shutil.copy(path, folder.bundle("1.1"))
    # It failed once before, and a person wants it all the same.
    folder.note(Deed.ORDERED, "1.1")
    asked = folder.note(Deed.NOT_WRITTEN, "1.1").number
    with open_bundle(path, read_keys(maker.keys)) as bundle:
        found = found_of(bundle.manifest, bundle.head.total)
    folder.write_state(State(ready=found, install=True, by="anna", asked=asked, told=asked))
    return maker


@pytest.mark.parametrize("is_quick", [False, True], ids=["root waits", "root was quick"])
async def test_killed_at_every_step_it_is_ordered_once_or_still_wanted(tmp_path, ready, is_quick):
    outcomes = set()
    for fatal in itertools.count(1):
        data, machine = tmp_path / f"data-{fatal}", tmp_path / f"machine-{fatal}"
        shutil.copytree(tmp_path / "before", data)
        steps = doomed_updater(data, ready.keys, machine, fatal)
        folder = Folder(data)
        was_ordered = folder.order() is not None
        outcomes.add((was_ordered, folder.state().install))
        if was_ordered and is_quick:  # root has tried it before the service starts again
            folder.note(Deed.NOT_WRITTEN, "1.1", why="the disk is ill")
            folder.drop_order()
        state, history = folder.state(), folder.history()
        if state.install or state.told < history[-1].number:
            await order(data, ready.keys, machine)
        since = [entry.deed for entry in folder.history()[2:]]
        assert not folder.state().install, f"step {fatal}"
        if was_ordered and is_quick:
            assert folder.order() is None, f"step {fatal}"  # one wish, one order
            assert Deed.NOT_WRITTEN in since
        else:
            assert folder.order().by == "anna", f"step {fatal}"
            assert since == [Deed.ORDERED], f"step {fatal}"
        if steps:
            break
    assert outcomes == {(False, True), (True, True), (True, False)}
    assert {"open", "write", "fsync", "replace"} <= set(steps)
