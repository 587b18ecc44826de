"""A machine goes back from an update that does not start, and takes one that does.

Left out by ``scripts/test``: it takes two builds, and half an hour without KVM;
``scripts/test-image --update`` runs it, and makes the later build in ``build/image/newer``. The
tests of the machine stand in the order in which its life goes on.
"""

from __future__ import annotations

import json
import re
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edge.updates.signing import main
from tests.image.hands import Hands
from tests.image.machine import BUILD, Machine, built
from tests.image.media import stick
from tests.image.studies import LAB, NEEDS_IMAGE, kept, send, sent
from tests.image.technician import HOST
from tests.image.usb import put_in

NEWER = BUILD / "newer"
NEEDS_NEWER = pytest.mark.skipif(not NEWER.exists(), reason="needs a later build in newer")
pytestmark = NEEDS_IMAGE
PATIENCE = 2400.0
SLICES = 12
WALLS = r"""[Service]
ExecStartPre=/bin/sh -c 'for at in / /etc /usr /opt/edge /run /run/systemd /run/edge-machine \
 /var /var/lib /var/lib/edge /home; do touch $$at/x 2>/dev/null && echo "root writes $$at"; done; \
 echo "its walls were tried"'
StandardOutput=journal+console
"""
"""Of root's unit, which tries where it could write besides, and says so on the console."""


class Ranged(SimpleHTTPRequestHandler):
    """A web server that knows ranges, as every one does that updates are put on."""

    def send_head(self):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if wanted is None or not path.is_file():
            return super().send_head()
        size = path.stat().st_size
        begin, end = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end}/{size}")
        self.send_header("Content-Length", str(end - begin + 1))
        self.end_headers()
        file = path.open("rb")
        file.seek(begin)
        self.left = end - begin + 1
        return file

    def copyfile(self, source, outputfile):
        left = getattr(self, "left", None)
        while piece := source.read(65536 if left is None else min(65536, left)):
            outputfile.write(piece)
            left = None if left is None else left - len(piece)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder of updates, and a server that has it."""
    folder = tmp_path_factory.mktemp("updates")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranged, directory=str(folder))) as made:
        threading.Thread(target=made.serve_forever, args=(0.1,), daemon=True).start()
        made.folder = folder
        yield made
        made.shutdown()


def root_hash(uki):
    """By which what starts it knows its root."""
    return re.search(rb"roothash=([0-9a-f]{64})", uki.read_bytes())[1].decode()


def publish(server, build, version, uki=None, root=None):
    """Make an update of a build; another kernel and root may be in it."""
    notes = server.folder / "notes"
    notes.write_text("Another build.")
    uki = uki or build / "edge.efi"
    words = ["make", "--version", version, "--minimum", "0.0.1", "--machine", "x86-64"]
    words += ["--root", str(root or build / "edge.root.raw"), "--root-hash", root_hash(uki)]
    words += ["--verity", str(build / "edge.verity.raw"), "--uki", str(uki)]
    words += ["--notes", str(notes), "--key", str(BUILD / "signing.key")]
    assert main([*words, "--into", str(server.folder)]) == 0
    return server.folder / f"{version}-x86-64.edgeupdate"


@pytest.fixture(scope="module")
def box(tmp_path_factory, server):
    text = LAB + (
        f"Environment=EDGE_UPDATE__URL=http://{HOST}:{server.server_port}/"
        " EDGE_UPDATE__BY_ITSELF=look\n"
    )
    with Hands() as hands:
        machine = Machine(tmp_path_factory.mktemp("box"), built(), units=hands.units)
        machine.dropins = {
            **hands.dropins,
            "edge.service": text,
            "edge-update-take.service": WALLS,
        }
        machine.start().until_ready()
        yield machine
        machine.kill()


def update(box, act="", body=None):
    """Ask the API about updates."""
    method = "GET" if body is None else "POST"
    said = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    status, answer = box.ask(
        f"/api/v1/update{act}", method=method, body=said, headers=headers, seconds=120
    )
    assert status == 200, answer
    return json.loads(answer)


def until(box, condition, version, seconds=PATIENCE):
    """Wait until it holds for how it stands; the machine may start anew meanwhile.

    Ends at once where the version has failed that it is about.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            now = update(box)
        except (OSError, AssertionError) as error:
            now = {"error": str(error)}
        if "error" not in now and condition(now):
            return now
        failed = (now.get("failure") or {}).get("version")
        assert failed != version, (now, box.console[-4000:])
        assert time.monotonic() < deadline, (now, box.console[-4000:])
        time.sleep(2)


def deeds(box):
    return [(one["version"], one["deed"]) for one in update(box, "/history")["entries"]][::-1]


def test_one_that_does_not_start_is_gone_back_from_by_itself(
    box, server, tmp_path, record_property
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
    publish(server, built().parent, f"{running}.0", uki=broken, root=root)
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
def test_an_update_is_taken_and_the_images_are_there(box, server, record_property):
    before = (BUILD / "amd64" / "version").read_text().strip()
    after = (NEWER / "version").read_text().strip()
    publish(server, NEWER, after)
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
def test_a_stick_is_enough(box, server, tmp_path):
    after = (NEWER / "version").read_text().strip()
    path = publish(server, NEWER, f"{after}.10")
    put_in(box, stick(tmp_path / "stick.img", {f"EDGE-UPDATE/{path.name}": path}, "UPDATE"), "s")
    now = until(box, lambda now: now["phase"] == "ready", f"{after}.10")
    assert now["version"] == f"{after}.10"
    assert deeds(box)[-1] == (f"{after}.10", "brought")
