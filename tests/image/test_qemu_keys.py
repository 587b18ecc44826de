"""What opens the data of a machine, and what does not: its TPM, and a stick EDGE-KEY.

Left out by ``scripts/test``; ``scripts/test-image keys`` runs it. The tests of one machine stand in
the order in which its life goes on.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time

import pytest

from tests.image.machine import Machine, built, switched_on
from tests.image.media import data_of, esp_of, found_on, on_stick, overlay, raw, stick
from tests.image.studies import NEEDS_IMAGE, OPEN, has_failed, kept, marks_of, send, sent
from tests.image.usb import put_in

pytestmark = NEEDS_IMAGE
SLICES = 12
CLOSED = r"the data can't be opened"
ASKED = r"Recovery key of the disk:"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory):
    """A machine with a TPM."""
    machine = Machine(tmp_path_factory.mktemp("trusted"), built(), tpm=True, dropins=OPEN)
    yield machine
    machine.kill()


def stolen(path, machine, **more):
    """Another machine, with the disk of this one, which stays as it is."""
    thief = Machine(path, dropins=OPEN, **more)
    thief.folder.mkdir()
    overlay(thief.disk, machine.disk)
    return thief


def answers(machine):
    """Whether anything on it can be asked."""
    try:
        return bool(machine.ask("/healthz", seconds=5))
    except OSError:
        return False


def stays_shut(machine, then=r"could not be started"):
    """It says why it does not open the data, and serves nothing."""
    with switched_on(machine):
        machine.until_said(CLOSED)
        machine.until_said(then)
        assert not answers(machine)


def key_on_the_sheet(machine):
    """The recovery key of its disk, which is made beside what else starts."""
    deadline = time.monotonic() + 300
    while (said := machine.ask("/api/v1/keys/disk", method="POST"))[0] != 200:
        assert time.monotonic() < deadline, said
        time.sleep(1)
    return json.loads(said[1])["groups"]


def type_at(machine, text, then):
    """Type at its screen, once it asks there; what it said then on the serial line."""
    before = len(machine.console)
    for _ in range(5):  # what is typed before the screen asks is lost, on whose line nobody sees it
        machine.type([*({" ": "spc"}.get(each, each) for each in text.lower()), "ret"])
        with contextlib.suppress(AssertionError):
            return machine.until_said(then, 60, after=before)
    return machine.until_said(then, 1, after=before)


def test_the_data_is_made_with_a_key_in_the_tpm(trusted):
    trusted.start().until_ready()
    trusted.until_said(r"the data is made with a key in the TPM")
    assert send(trusted, SLICES, 811).returncode == 0
    assert len(key_on_the_sheet(trusted)) == 9
    trusted.stop()


def test_the_tpm_opens_it_at_each_start_with_nobody_there(trusted):
    trusted.start().until_ready()
    assert not has_failed(trusted)
    assert kept(trusted, 811) == sent(SLICES, 811)
    trusted.stop()


def test_without_the_tpm_it_stays_shut(trusted, tmp_path):
    stays_shut(stolen(tmp_path / "without", trusted), ASKED)


def test_with_the_tpm_of_another_machine_it_stays_shut(trusted, tmp_path):
    stays_shut(stolen(tmp_path / "other", trusted, tpm=True), ASKED)


def test_beside_a_tpm_no_key_and_nothing_of_a_study_stands_on_the_disk(trusted, tmp_path):
    disk = raw(tmp_path / "disk.raw", trusted.disk)
    assert on_stick(esp_of(disk), "edge/data.key") is None
    begin, _ = data_of(disk)
    assert found_on(disk, [b"LUKS\xba\xbe"], begin), "what is there is found"
    assert found_on(disk, marks_of(SLICES, 811)) == set()


def test_with_a_tpm_that_was_cleared_the_recovery_key_opens_it_and_the_next_start_is_by_itself(
    trusted,
):
    trusted.start().until_ready()
    key = key_on_the_sheet(trusted)
    trusted.stop()
    shutil.rmtree(trusted.folder / "tpm")
    before = len(trusted.console)
    trusted.start()
    trusted.until_said(ASKED, after=before)
    assert re.search(f"{CLOSED}: the TPM of this machine does not do it", trusted.console[before:])
    assert not answers(trusted)
    type_at(trusted, "nothing", r"and these are 7; two more tries")
    type_at(trusted, " ".join(key), r"from the next start on the TPM opens it")
    trusted.until_ready()
    assert kept(trusted, 811) == sent(SLICES, 811)
    assert key_on_the_sheet(trusted) == key
    trusted.stop()

    before = len(trusted.console)
    trusted.start().until_ready()
    assert not re.search(CLOSED, trusted.console[before:])
    assert kept(trusted, 811) == sent(SLICES, 811)
    trusted.stop()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A machine without a TPM, and the stick that was in it at its first start."""
    folder = tmp_path_factory.mktemp("guarded")
    key = stick(folder / "key.img", {}, "EDGE-KEY")
    machine = Machine(folder / "machine", built(), sticks=[key], dropins=OPEN)
    machine.key = key
    yield machine
    machine.kill()


def test_the_data_is_made_with_a_key_on_the_stick(guarded, tmp_path):
    guarded.start().until_ready()
    guarded.until_said(r"the data is made with the key of the stick EDGE-KEY")
    assert send(guarded, SLICES, 812).returncode == 0
    guarded.stop()
    key = on_stick(guarded.key, "data.key")
    assert key is not None
    assert len(key) == 64
    disk = raw(tmp_path / "disk.raw", guarded.disk)
    assert on_stick(esp_of(disk), "edge/data.key") is None
    assert found_on(disk, [key, *marks_of(SLICES, 812)]) == set()


def test_another_stick_of_that_name_opens_nothing(guarded, tmp_path):
    other = stick(tmp_path / "other.img", {"data.key": b"k" * 64}, "EDGE-KEY")
    stays_shut(stolen(tmp_path / "machine", guarded, sticks=[other]))


def test_without_the_stick_it_waits_and_starts_once_it_is_put_in(guarded):
    before = len(guarded.console)
    guarded.sticks = []
    guarded.start()
    guarded.until_said(CLOSED, after=before)
    assert not answers(guarded)
    put_in(guarded, guarded.key, "key")
    began = time.monotonic()
    guarded.until_ready()
    print(f"from the stick to readyz: {time.monotonic() - began:.0f} s")
    assert kept(guarded, 812) == sent(SLICES, 812)
    guarded.stop()
