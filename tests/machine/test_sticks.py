"""What the screen of the box says of a stick that is in."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.machine.places import Places
from edge.machine.sticks import Use, read_sticks, tell_of_stick
from tests.documents import ROOT

STICK = Path("/run/edge-media/sda1")


@pytest.fixture
def places(tmp_path):
    return Places.under(tmp_path)


@pytest.fixture
def folder(places):
    """As systemd makes it for the unit."""
    made = places.sticks / STICK.name
    made.mkdir(parents=True)
    return made


def test_it_is_to_be_left_in_until_all_of_it_is_over(places, folder):
    tell_of_stick(places, STICK, Use.UPDATE, "its update comes next", is_over=False)
    tell_of_stick(places, STICK, Use.SETUP, "is read", is_over=False)
    assert read_sticks(places) == ("is read; its update comes next; leave it in",)
    tell_of_stick(places, STICK, Use.SETUP, "has set this box up")
    assert read_sticks(places) == ("has set this box up; its update comes next; leave it in",)
    tell_of_stick(places, STICK, Use.UPDATE, "its update 1.2 is on this box")
    assert read_sticks(places) == (
        "has set this box up; its update 1.2 is on this box; you may take it out",
    )
    shutil.rmtree(folder)
    assert read_sticks(places) == ()


def test_of_a_folder_that_is_no_stick_of_the_units_nothing_is_said(places):
    assert read_sticks(places) == ()
    tell_of_stick(places, STICK, Use.SETUP, "is read")
    assert not places.sticks.exists()


def test_what_can_not_be_read_is_not_said(places, folder):
    (folder / "setup.json").write_text("{")
    assert read_sticks(places) == ()
    tell_of_stick(places, STICK, Use.UPDATE, "its update 1.2 is on this box")
    assert read_sticks(places) == ("its update 1.2 is on this box; you may take it out",)


def test_that_it_is_read_is_said_before_the_command_has_started(places, folder):
    """On a slow machine half a minute went by without a word."""
    unit = (ROOT / "image/units/edge-stick@.service").read_text()
    [words] = re.findall(r'^ExecStartPre=-/bin/sh -c "(.*)"$', unit, re.MULTILINE)
    plain = words.replace(r"\"", '"').replace("$$", "$")  # as systemd reads it
    subprocess.run(["/bin/sh", "-c", plain], env={"RUNTIME_DIRECTORY": str(folder)}, check=True)
    assert read_sticks(places) == ("is read; leave it in",)
