"""A box that was stolen or burnt: a new one takes its place by a stick, and by nothing else.

Its archive has a certificate of the clinic's own authority, as the technician's stick said.

Left out by ``scripts/test``; ``scripts/test-image restore`` runs it. The tests stand in the order
in which it happens; one machine is on at a time.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import threading
import time
from types import SimpleNamespace

import pytest
import trustme

from edge.crypto.recovery import RecoveryKey
from tests.fakes.orthanc import Orthanc
from tests.fakes.orthanc import missing as orthanc_lacks
from tests.fakes.tls import tls_before
from tests.image.machine import HOST, Machine, built
from tests.image.media import on_stick, stick
from tests.image.studies import AS_STORED, NEEDS_IMAGE, has_failed, kept, send, sent, study_of
from tests.image.technician import Technician, done
from tests.image.usb import pull_out, put_in
from tests.image.waiting import until

pytestmark = NEEDS_IMAGE
SLICES = 12
SETUP = "EDGE-SETUP/edge.toml"
RESULT = "EDGE-SETUP/result.txt"
AUTHORITY = "EDGE-SETUP/Clinic-Root.crt"
BACKUP = "EDGE-SETUP/radiology.edge"
TRUST = '[setup]\nca = "clinic-root.crt"\n'
DATA = "/var/lib/edge"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    if lacks := orthanc_lacks():
        pytest.skip(lacks)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def authority():
    """The clinic's."""
    return trustme.CA()


@pytest.fixture(scope="module")
def technician(archive, authority):
    """With the port at which the archive shows a certificate of it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    loop, (begun, ended) = asyncio.new_event_loop(), (threading.Event(), asyncio.Event())

    async def serve():
        async with tls_before(archive.http_port, context) as port:
            made.append(Technician(archive, port))
            begun.set()
            await ended.wait()

    made: list[Technician] = []
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert begun.wait(10)
    yield made[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)


@pytest.fixture(scope="module")
def old(tmp_path_factory, technician, authority):
    """The box that will be gone, and what is known of it then."""
    folder = tmp_path_factory.mktemp("old")
    text = technician.settings.replace(b"[setup]\n", TRUST.encode())
    files = {SETUP: text, AUTHORITY: authority.cert_pem.bytes()}
    machine = Machine(folder / "machine", built(), sticks=[stick(folder / "stick.img", files)])
    yield SimpleNamespace(box=machine, stick=machine.sticks[0])
    machine.kill()


@pytest.fixture(scope="module")
def new(tmp_path_factory, hands):
    """The box that takes its place."""
    folder = tmp_path_factory.mktemp("new")
    machine = Machine(folder, built(), units=hands.units, dropins=hands.dropins)
    yield machine
    machine.kill()


@pytest.fixture(scope="module")
def third(tmp_path_factory, hands, new):
    """And the one that takes that one's, for which nobody kept a file."""
    new.kill()
    hands.let_go()
    folder = tmp_path_factory.mktemp("third")
    machine = Machine(folder, built(), units=hands.units, dropins=hands.dropins)
    yield machine
    machine.kill()


def answer_on(image, pattern):
    """Wait until a stick says that, while it is in a machine; all that it says."""

    def look():
        return (on_stick(image, RESULT) or b"").decode()

    said = until(look, lambda said: re.search(pattern, said))
    print(said)
    return said


def take_out(box, name, hands):
    """Pull a stick out once nothing is done with it any more, which the screen says."""
    listed = ("systemctl", "list-units", "--plain", "--no-legend", "edge-*stick@*")
    until(lambda: hands.must(*listed), lambda units: "activating" not in units)
    pull_out(box, name)


def told(box, path, token):
    """What a box answers a program."""
    status, body = box.ask(f"/api/v1{path}", token=token)
    assert status == 200, (path, body)
    return json.loads(body)


def known_of(box, token):
    """By what people, programs and devices know a box."""
    settings = told(box, "/settings", token)
    users = [{key: one[key] for key in ("name", "role", "state", "created", "second_factors")}
             for one in told(box, "/users", token)["users"]]  # fmt: skip
    return {
        "authority": box.ask("/ca.crt"),
        "settings": settings["settings"],
        "people": users,
        "peers": told(box, "/peers", token)["peers"],
    }


def arrives(archive, *seeds):
    """Wait until the archive has all images of these studies."""
    wanted = {uid for seed in seeds for uid in sent(SLICES, seed)}
    until(lambda: set(archive.sop_uids()), lambda there: wanted <= there)


def restoring(sticks, name, key, more, files):
    """A stick that has a box take another one's place."""
    text = f'{TRUST}[setup.restore]\nkey = "{key}"\n{more}'
    return stick(sticks / f"{name}.img", {SETUP: text.encode(), **files}, name.upper())


def is_new(box):
    """Whether its page says so."""
    status, body = box.ask("/welcome", headers={"Accept": "text/html"})
    assert status == 200, body
    return b"This box is new" in body


def test_a_box_is_set_up_and_what_it_took_is_in_the_archive(old, technician, archive):
    old.box.start()
    print(f"first start: {old.box.until_ready():.0f} s")
    answer_on(old.stick, "This box was set up by the stick")
    technician.takes_over(old.box)
    assert send(old.box, SLICES, 881).returncode == 0
    arrives(archive, 881)
    assert not has_failed(old.box)


def test_its_key_is_written_down_and_a_backup_is_taken_away(old, technician):
    with technician.logged_in(old.box) as browser:
        done(browser, "/api/v1/peers", ae_title="MR2", host="10.0.2.9", name="MR in room 2")
        old.paper = " ".join(done(browser, "/api/v1/keys/recovery")["groups"])
        done(browser, "/api/v1/keys/recovery/typed", key=old.paper)
        backup = browser.get("/api/v1/backup")
        assert backup.status_code == 200, backup.text
    old.backup = backup.content
    # The archive has one by itself.
    until(lambda: told(old.box, "/status", technician.token)["backups"]["last"], bool)
    old.known = known_of(old.box, technician.token)
    old.box.stop()


def test_a_stick_with_another_key_changes_nothing_and_says_what_to_do(
    old, new, sticks, technician, authority, hands
):
    new.start()
    print(f"first start: {new.until_ready():.0f} s")
    assert is_new(new)
    assert new.ask("/ca.crt") != old.known["authority"]
    new.of_its_own = new.ask("/ca.crt")
    key = " ".join(RecoveryKey.new().to_groups())
    files = {BACKUP: old.backup, AUTHORITY: authority.cert_pem.bytes()}
    image = restoring(sticks, "wrong", key, 'file = "radiology.edge"\n', files)
    before = on_stick(image, SETUP)
    put_in(new, image, "wrong")
    said = answer_on(image, "Nothing was changed|again")
    take_out(new, "wrong", hands)
    hands.must("systemctl", "reset-failed")
    assert "Nothing was changed: " in said
    assert "it was sealed for another\r\n" in said, "and the next line says what to do"
    assert on_stick(image, SETUP) == before, "it can be mended, and tried again"
    assert is_new(new)
    assert new.ask("/ca.crt") == new.of_its_own
    assert new.ask("/api/v1/status", token=technician.token)[0] == 401
    assert authority.cert_pem.bytes().decode().strip() not in hands.must(
        "cat", "/run/edge-machine/ca-bundle.pem"
    )


def owners(hands):
    """Whose each file of the data is, and who else may do what with it."""
    listed = hands.must("find", f"{DATA}/", "-mindepth", "1", "-name", "lost+found", "-prune", "-o",
                        "-printf", "%P %u:%g %m\\n")  # fmt: skip
    return {name: (owner, mode) for name, owner, mode in map(str.split, listed.splitlines())}


def becomes_it(box, image, name, old, technician, archive, hands, seed):
    """Put a stick in; the seconds until the box is the one that is gone, and says so."""
    box.belongs = owners(hands)
    began = time.monotonic()
    put_in(box, image, name)
    said = answer_on(image, "Nothing was changed|again|to the end|set up")
    seconds = time.monotonic() - began
    assert "This box is radiology again." in said
    assert "Name       radiology\r\n" in said
    assert "Who could log in there can log in here" in said
    assert old.paper not in on_stick(image, SETUP).decode()
    take_out(box, name, hands)
    box.until_ready()
    assert not is_new(box)
    assert known_of(box, technician.token) == old.known
    with technician.logged_in(box) as browser:
        [entry] = [
            one
            for one in browser.get("/api/v1/audit?limit=1000").json()["entries"]
            if one.get("what") == "edge restore"
        ]
    assert (entry["actor"]["name"], entry["detail"]["box"]) == ("stick", "radiology")
    assert told(box, "/audit/check", technician.token)["sound"]
    # Its disk never had them. The archive is asked what it has once the box runs.
    images = f"/dicom-web/studies/{study_of(881)}"
    until(lambda: box.ask(images, token=technician.token, headers=AS_STORED, seconds=300)[0],
          lambda status: status == 200)  # fmt: skip
    until(lambda: kept(box, 881, technician.token), lambda found: found == sent(SLICES, 881))
    print(f"its images are read {time.monotonic() - began:.0f} s after the stick was put in")
    assert send(box, SLICES, seed).returncode == 0
    assert kept(box, seed, technician.token) == sent(SLICES, seed)
    arrives(archive, seed)
    belongs = owners(hands)
    assert {name: belongs[name] for name in belongs.keys() & box.belongs.keys()} == {
        name: box.belongs[name] for name in belongs.keys() & box.belongs.keys()
    }
    assert {owner for owner, _ in belongs.values()} == {"edge:edge"}
    names = set(hands.must("ls", "-A", DATA).split())
    assert not names & {"restoring", "first-day", "replacing.json", "not-replaced.txt"}
    assert not has_failed(box)
    failed = hands.must("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    assert failed == "", hands.must("journalctl", "--no-pager", "-n", "100")
    return seconds


def test_with_its_key_and_its_backup_it_is_the_box_that_is_gone(
    old, new, sticks, technician, archive, authority, hands, record_property
):
    files = {BACKUP: old.backup, AUTHORITY: authority.cert_pem.bytes()}
    new.stick = restoring(sticks, "right", old.paper, 'file = "radiology.edge"\n', files)
    seconds = becomes_it(new, new.stick, "right", old, technician, archive, hands, 882)
    record_property("restored from a backup: from the stick to the box that it was", seconds)


def test_it_is_that_box_after_the_next_start_too(old, new, technician, hands):
    new.stop()
    hands.let_go()
    new.sticks = [new.stick]
    before = len(new.console)
    new.start().until_ready()
    answer_on(new.stick, "set up by this file before; nothing was changed")
    assert known_of(new, technician.token) == old.known
    for seed in (881, 882):
        assert kept(new, seed, technician.token) == sent(SLICES, seed)
    assert not re.findall(r"\[\S*FAILED\S*\] (.*)", new.console[before:])
    new.stop()
    hands.let_go()


def test_without_a_file_the_archive_has_the_backup(
    old, third, sticks, technician, archive, authority, hands, record_property
):
    third.start()
    print(f"first start: {third.until_ready():.0f} s")
    files = {AUTHORITY: authority.cert_pem.bytes()}
    image = restoring(sticks, "archive", old.paper, technician.address.decode(), files)
    seconds = becomes_it(third, image, "archive", old, technician, archive, hands, 883)
    record_property("restored from the archive: from the stick to the box that it was", seconds)
    assert kept(third, 882, technician.token) == sent(SLICES, 882)
    third.stop()
