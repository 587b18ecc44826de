"""A machine goes back from an update that does not start, and takes one that does.

Left out by ``scripts/test``: it takes two builds, and half an hour without KVM;
``scripts/test-image --update`` runs it, and makes the later build in ``build/image/newer``. The
tests of the machine stand in the order in which its life goes on.
"""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.image.hands import Hands
from tests.image.machine import BUILD, HOST, Machine, built, switched_on
from tests.image.media import stick
from tests.image.studies import LAB, NEEDS_IMAGE, kept, send, sent
from tests.image.updates import NEWER, deeds, root_hash, server, until, update
from tests.image.usb import put_in

NEEDS_NEWER = pytest.mark.skipif(not NEWER.exists(), reason="needs a later build in newer")
pytestmark = NEEDS_IMAGE
SLICES = 12
WALLS = r"""[Service]
ExecStartPre=/bin/sh -c 'for at in / /etc /usr /opt/edge /run /run/systemd /run/edge-machine \
 /var /var/lib /var/lib/edge /home; do touch $$at/x 2>/dev/null && echo "root writes $$at"; done; \
 echo "its walls were tried"'
StandardOutput=journal+console
"""
"""Of root's unit, which tries where it could write besides, and says so on the console."""


@pytest.fixture(scope="module")
def updates(tmp_path_factory):
    with server(tmp_path_factory.mktemp("updates")) as made:
        yield made


@pytest.fixture(scope="module")
def box(tmp_path_factory, updates):
    text = LAB + (
        f"Environment=EDGE_UPDATE__URL=http://{HOST}:{updates.port}/ EDGE_UPDATE__BY_ITSELF=look\n"
    )
    with Hands() as hands:
        machine = Machine(tmp_path_factory.mktemp("box"), built(), units=hands.units)
        machine.dropins = {
            **hands.dropins,
            "edge.service": text,
            "edge-update-take.service": WALLS,
        }
        with switched_on(machine):
            machine.until_ready()
            yield machine


def test_one_that_does_not_start_is_gone_back_from_by_itself(
    box, updates, tmp_path, record_property
):
    """Its root is not the one that its kernel was built with: verity refuses every block."""
    running = (built().parent / "version").read_text().strip()
    assert update(box)["running"] == running
    known = root_hash(built().parent / "edge.efi").encode()
    broken = tmp_path / "edge.efi"
    broken.write_bytes((built().parent / "edge.efi").read_bytes().replace(known, known[::-1]))
    root = tmp_path / "root"
    with built("amd64").with_name("edge.root.raw").open("rb") as file:
        root.write_bytes(file.read(16 * 1024**2))
    updates.publish(built().parent, f"{running}.0", uki=broken, root=root)
    assert send(box, SLICES, 902).returncode == 0
    assert update(box, "/look", {})["version"] == f"{running}.0"
    began = time.monotonic()
    update(box, "/install", {})
    until(box, lambda now: now["failure"] is not None, f"{running}.0")
    record_property(
        "update that is broken: from the wish to the old version", time.monotonic() - began
    )
    now = update(box)
    assert now["running"] == running
    assert (now["failure"]["version"], now["failure"]["went_back"]) == (f"{running}.0", True)
    assert deeds(box)[-1] == (f"{running}.0", "went back")
    assert kept(box, 902) == sent(SLICES, 902)
    status, body = box.ask("/api/v1/status")
    assert status == 200
    assert "did not work here" in json.loads(body)["sentence"]


@NEEDS_NEWER
def test_an_update_is_taken_and_the_images_are_there(box, updates, record_property):
    before = (BUILD / "amd64" / "version").read_text().strip()
    after = (NEWER / "version").read_text().strip()
    updates.publish(NEWER, after)
    assert send(box, SLICES, 901).returncode == 0
    assert update(box)["running"] == before
    assert update(box, "/look", {})["version"] == after
    began = time.monotonic()
    update(box, "/install", {})
    until(box, lambda now: now["running"] == after and now["phase"] == "none", after)
    record_property("update: from the wish to the proof", time.monotonic() - began)
    assert deeds(box)[-2:] == [(after, "written"), (after, "good")]
    assert kept(box, 901) == sent(SLICES, 901)


def test_root_s_unit_writes_nothing_else(box):
    assert "its walls were tried" in box.console
    assert not re.findall(r"root writes \S+", box.console)


@NEEDS_NEWER
def test_a_stick_is_enough(box, updates, tmp_path):
    after = (NEWER / "version").read_text().strip()
    path = updates.publish(NEWER, f"{after}.10")
    put_in(box, stick(tmp_path / "stick.img", {f"EDGE-UPDATE/{path.name}": path}, "UPDATE"), "s")
    now = until(box, lambda now: now["phase"] == "ready", f"{after}.10")
    assert now["version"] == f"{after}.10"
    assert deeds(box)[-1] == (f"{after}.10", "brought")
