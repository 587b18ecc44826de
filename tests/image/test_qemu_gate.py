"""A machine goes back from an update that works, but for its way to the archive.

Left out by ``scripts/test``; ``scripts/test-image gate`` runs it, and makes the later build. What
comes in while the version is on trial, of whose index the version from before knows nothing, is
there afterwards.
"""

from __future__ import annotations

import time

import pytest

from tests.fakes.orthanc import Orthanc
from tests.fakes.orthanc import missing as orthanc_lacks
from tests.image.machine import HOST, Machine, built, switched_on
from tests.image.media import stick
from tests.image.studies import LAB, NEEDS_IMAGE, kept, send, sent
from tests.image.technician import Technician
from tests.image.updates import NEWER, deeds, server, until, update

pytestmark = [
    *NEEDS_IMAGE,
    pytest.mark.skipif(not NEWER.exists(), reason="needs a later build in newer"),
    pytest.mark.skipif(bool(orthanc_lacks()), reason=orthanc_lacks()),
]
SLICES = 12
FAULTY = """Environment=EDGE_UPDATE__URL=http://{host}:{port}/ EDGE_UPDATE__BY_ITSELF=look
ExecStartPre=+/bin/sh -c 'grep -qF {version} /usr/lib/os-release || exit 0; \
 nft add table ip fault; \
 nft add chain ip fault out "{{ type filter hook output priority 0; }}"; \
 nft add rule ip fault out tcp dport {archive} drop; \
 echo "a fault: the archive can not be reached"'
"""
"""Of the service: where the later version runs, nothing goes to the archive."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    orthanc = Orthanc(tmp_path_factory.mktemp("orthanc"))
    orthanc.start()
    yield orthanc
    orthanc.stop()


@pytest.fixture(scope="module")
def updates(tmp_path_factory):
    with server(tmp_path_factory.mktemp("updates")) as made:
        yield made


@pytest.fixture(scope="module")
def after():
    return (NEWER / "version").read_text().strip()


@pytest.fixture(scope="module")
def box(tmp_path_factory, archive, updates, after):
    """Set up by a stick, with an archive; it asks nobody who they are."""
    folder = tmp_path_factory.mktemp("box")
    settings = Technician(archive).settings
    fault = LAB + FAULTY.format(
        host=HOST, port=updates.port, version=after, archive=archive.http_port
    )
    machine = Machine(
        folder / "machine",
        built(),
        sticks=[stick(folder / "stick.img", {"EDGE-SETUP/edge.toml": settings})],
        dropins={"edge.service": fault},
    )
    with switched_on(machine):
        machine.until_ready()
        yield machine


def arrives(archive, *seeds):
    """Wait until the archive has all images of these studies."""
    wanted = {uid for seed in seeds for uid in sent(SLICES, seed)}
    deadline = time.monotonic() + 600
    while set(there := archive.sop_uids()) != wanted:
        assert time.monotonic() < deadline, there
        time.sleep(1)


def test_it_takes_images_while_it_is_on_trial_and_then_goes_back(
    box, archive, updates, after, record_property
):
    before = (built().parent / "version").read_text().strip()
    assert send(box, SLICES, 951).returncode == 0
    arrives(archive, 951)
    updates.publish(NEWER, after)
    assert update(box, "/look", {})["version"] == after
    began = time.monotonic()
    update(box, "/install", {})
    until(box, lambda now: now["running"] == after)
    assert send(box, SLICES, 952).returncode == 0
    now = until(box, lambda now: now["failure"] is not None and now["running"] == before)
    record_property("update that fails its gate: from the wish to the old version",
                    time.monotonic() - began)  # fmt: skip
    assert (now["failure"]["version"], now["failure"]["went_back"]) == (after, True)
    assert "it was reached before, and is not any more: hospital" in now["failure"]["why"]
    assert deeds(box)[-3:] == [(after, "written"), (after, "bad"), (after, "went back")]


def test_what_came_in_before_and_meanwhile_is_there(box, archive):
    for seed in (951, 952):
        assert kept(box, seed) == sent(SLICES, seed)
    arrives(archive, 951, 952)
