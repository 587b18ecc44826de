"""The disk of a machine, taken away with its key beside it, and reset to its first day.

Left out by ``scripts/test``; ``scripts/test-image reset`` runs it. The tests of one machine stand
in the order in which its life goes on.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree as ET

import pytest
import trustme

from tests.fakes.syslog import SyslogServer
from tests.image.hands import Hands
from tests.image.machine import HOST, Machine, built, switched_on
from tests.image.media import data_of, esp_of, found_on, on_stick, overlay, raw, written
from tests.image.studies import LAB, NEEDS_IMAGE, kept, marks_of, send, sent
from tests.image.usb import put_in
from tests.image.waiting import until

pytestmark = NEEDS_IMAGE
SLICES = 12
AS_SERVICE = ("setpriv", "--reuid=edge", "--regid=edge", "--init-groups")
"""As who the page on the screen runs, which is where people reset a box."""
HEADER = 16 * 1024**2
"""Bytes that LUKS2 has for itself at the head of a partition: the volume's keys, locked."""
SEARCH = """
import json, sys
said = json.load(sys.stdin)
needles = [bytes.fromhex(each) for each in said["needles"]]
found = set()
with open(sys.argv[1], "rb", buffering=0) as file:
    for start, end in said["places"]:
        tail = b""
        while start < end:
            file.seek(start)
            piece = file.read(min(8 * 1024**2, end - start))
            if not piece:
                break
            start += len(piece)
            found |= {needle for needle in needles if needle in tail + piece}
            tail = piece[-4096:]
print(" ".join(needle.hex() for needle in found))
"""
"""Run in the guest: reads the places of a device that are said, and prints what is there."""


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def log(authority):
    """A syslog server on another machine, which is this one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST).configure_cert(context)
    server = SyslogServer(context)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    yield server
    asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def environment(log):
    """Of the service, and of the command beside it."""
    words = LAB.split("Environment=")[1].split()
    return dict(word.split("=", 1) for word in words) | {
        "EDGE_AUDIT__SYSLOG__SERVER": f"{HOST}:{log.port}",
        "EDGE_AUDIT__SYSLOG__TLS_CA": "/run/log-authority.pem",
    }


@pytest.fixture(scope="module")
def box(tmp_path_factory, hands, authority, environment):
    """A machine with neither a TPM nor a stick: its key is on its disk."""
    pem = base64.b64encode(authority.cert_pem.bytes()).decode()
    told = " ".join(f"{name}={value}" for name, value in environment.items())
    service = (
        f"[Service]\nEnvironment={told}\n"
        f"ExecStartPre=+/bin/sh -c 'echo {pem} | base64 -d >/run/log-authority.pem'\n"
        "ExecStartPre=+/bin/chmod 644 /run/log-authority.pem\n"
    )
    machine = Machine(
        tmp_path_factory.mktemp("box"),
        built(),
        disk_size="6G",
        units=hands.units,
        dropins={"edge.service": service} | hands.dropins,
    )
    yield machine
    machine.kill()


@pytest.fixture(scope="module")
def before(tmp_path_factory, box):
    """Its disk as it was when it was taken away, switched off."""
    return raw(tmp_path_factory.mktemp("taken") / "disk.raw", box.disk)


def certificate(box):
    """Digest of what it shows to browsers."""
    pem = ssl.get_server_certificate(("127.0.0.1", box.http_port), timeout=60)
    return hashlib.sha256(pem.encode()).hexdigest()


def reset(hands, environment, *words):
    """What a technician asks for."""
    command = (*AS_SERVICE, "edge", "reset", "--yes", "edge", *words)
    return hands.run(*command, environment=environment)


def records(log):
    """What the other machine has of resets: the details of each."""
    found = []
    for one in log.messages:
        root = ET.fromstring(one.text)
        details = {
            each.get("type"): base64.b64decode(each.get("value", "")).decode()
            for each in root.iter("ParticipantObjectDetail")
        }
        if "factory reset" in one.text:
            found.append(details)
    return found


def test_it_does_not_reset_while_a_study_exists_only_here(box, hands, environment, log):
    box.start().until_ready()
    box.until_said(r"the data is made with a key on the same disk")
    assert send(box, SLICES, 821).returncode == 0
    done = reset(hands, environment)
    assert done.returncode != 0
    assert b"1 study exists only here" in done.stderr, done
    assert records(log) == []
    # Nothing has changed, and the next study comes in.
    assert send(box, SLICES, 822).returncode == 0
    assert kept(box, 821) == sent(SLICES, 821)
    box.stop()


def test_nothing_of_a_study_stands_on_the_disk(box, before):
    begin, _ = data_of(before)
    assert found_on(before, [b"LUKS\xba\xbe"], begin), "what is there is found"
    assert found_on(before, marks_of(SLICES, 821) + marks_of(SLICES, 822)) == set()


def test_nor_behind_the_lock_whose_key_lies_beside_it(box, before, tmp_path):
    """Another machine has the disk in a USB case, and the key from its boot partition."""
    key = on_stick(esp_of(before), "edge/data.key")
    assert key is not None
    begin, end = data_of(before)
    begin += HEADER
    # What is found where it is there: the superblock of this file system's journal.
    journal = bytes.fromhex("c03b3998")
    marks = marks_of(2, 821) + marks_of(2, 822)
    places = [(start - begin, stop - begin) for start, stop in written(before, begin)
              if start < end]  # fmt: skip
    asked = {"needles": [mark.hex() for mark in [journal, *marks]], "places": places}
    with Hands() as hands:
        thief = Machine(tmp_path / "thief", built(), units=hands.units, dropins=hands.dropins)
        with switched_on(thief):
            hands.must("true", seconds=1200)
            put_in(thief, overlay(tmp_path / "taken.qcow2", before), "taken")
            device = until_there(hands)
            opened = ("cryptsetup", "open", "--disable-locks", "--readonly", "--key-file=-",
                      device, "taken")  # fmt: skip
            assert hands.run(*opened, said=b"k" * 64).returncode != 0
            hands.must(*opened, said=key)
            found = hands.must("python3", "-c", SEARCH, "/dev/mapper/taken",
                               said=json.dumps(asked).encode(), seconds=1800)  # fmt: skip
            assert found.split() == [journal.hex()]


def until_there(hands):
    """The data partition of the disk that was plugged in."""

    def look():
        listed = hands.must("lsblk", "--noheadings", "--raw", "--output", "NAME,PARTLABEL,TRAN")
        disks = [line.split()[0] for line in listed.splitlines() if line.endswith(" usb")]
        parts = [line.split()[0] for line in listed.splitlines() if " edge-data" in line]
        return [f"/dev/{part}" for part in parts if any(map(part.startswith, disks))]

    return until(look, bool, 120)[0]


def test_forced_it_is_audited_elsewhere_and_the_machine_starts_anew(box, hands, environment, log):
    hands.let_go()
    box.start().until_ready()
    box.was = certificate(box)
    seen = len(box.console)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(reset, hands, environment, "--force")
        try:
            box.until_said(r"reboot: Restarting system", after=seen)
        finally:
            hands.let_go()
    box.anew = len(box.console)
    box.until_said(r"the data is made with a key on the same disk", after=box.anew)
    box.until_ready()
    (said,) = records(log)
    assert said["forced"] == "True"
    assert "2 studies exist only here" in said["lost"]


def test_it_is_as_on_its_first_day(box, hands, environment):
    assert not re.findall(r"\[\S*FAILED\S*\] (.*)", box.console[box.anew :])
    assert certificate(box) != box.was
    for seed in (821, 822):
        assert kept(box, seed) == {}
    people = hands.must(*AS_SERVICE, "edge", "user", "list", "--json", environment=environment)
    assert people.strip() == "[]"
    assert send(box, SLICES, 823).returncode == 0
    assert kept(box, 823) == sent(SLICES, 823)


def test_what_was_there_before_can_never_be_read(box, before, hands, tmp_path):
    old = on_stick(esp_of(before), "edge/data.key")
    tried = hands.run("cryptsetup", "open", "--disable-locks", "--test-passphrase", "--key-file=-",
                      "/run/edge-disk/data", said=old)  # fmt: skip
    assert tried.returncode != 0
    box.stop()
    now = raw(tmp_path / "disk.raw", box.disk)
    assert on_stick(esp_of(now), "edge/data.key") not in (None, old)
    # No block of the old head, which held the key of the volume, is anywhere.
    begin, _ = data_of(before)
    with before.open("rb") as file:
        file.seek(begin + 32 * 1024)  # behind the two copies of what is no secret
        head = file.read(HEADER - 32 * 1024)
    blocks = {head[at : at + 512] for at in range(0, len(head), 512)}
    secret = [block for block in blocks if len(set(block)) > 128]
    assert len(secret) > 100, "the head held keys"
    assert found_on(now, [*secret[:64], old]) == set()
    assert found_on(before, secret[:4]) == set(secret[:4]), "what is there is found"
