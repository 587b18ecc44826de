"""What the screen says of an update: that it is written, how far that is, that it is checked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge.console.facts import lines_of
from edge.console.updating import update_said
from edge.updates.journal import Folder, Order, Trial
from tests.console.boxes import IN_USE
from tests.updates.makers import place_of


@pytest.fixture
def place(tmp_path):
    return place_of(tmp_path / "machine")


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_without_one_nothing_is_said(tmp_path, place, folder):
    assert update_said(tmp_path, place) == ""
    folder.write_order(Order(act="keep", version="1.1"))
    assert update_said(tmp_path, place) == ""


def test_how_far_it_is_written_is_said(tmp_path, place, folder):
    folder.write_order(Order(act="install", version="1.1"))
    assert update_said(tmp_path, place) == "1.1 is proven, then written: leave the power on"
    folder.write_share("1.0.9", 0.9)  # of one before
    assert "is proven, then written" in update_said(tmp_path, place)
    folder.write_share("1.1", 0.43)
    assert update_said(tmp_path, place) == "1.1 is written, 43% so far: leave the power on"


def test_until_it_has_proven_itself_the_power_stays_on(tmp_path, place, folder):
    trial = Trial(version="1.1", before="1.0", boot_id=place.boot_id)
    folder.write_trial(trial)
    said = "1.1 is written, and the box starts anew soon: leave the power on"
    assert update_said(tmp_path, place) == said
    later = place_of(tmp_path / "later", "1.1")
    assert update_said(tmp_path, later) == "1.1 runs, and is checked: leave the power on"
    # The one from before runs again, in another start: nothing is under way.
    folder.write_trial(replace_boot(trial))
    assert update_said(tmp_path, place) == ""


def replace_boot(trial):
    return Trial(version=trial.version, before=trial.before, boot_id="another")


def test_it_stands_on_the_page():
    lines = lines_of(replace(IN_USE, update="1.1 is written, 43% so far: leave the power on"))
    assert "Update       1.1 is written, 43% so far: leave the power on" in lines
