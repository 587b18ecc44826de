"""A box is set up by sticks that people put into it; the box itself runs from a disk on USB, too.

It has two network cards: the page is kept to one by the stick. Its serial line shows the page.

Left out by ``scripts/test``; ``scripts/test-image stick`` runs it. The tests stand in the order in
which the life of the one machine goes on.
"""

from __future__ import annotations

import json
import re

import pytest
import trustme

from tests.image.machine import CARDS, Machine, built
from tests.image.media import on_stick, overlay, stick
from tests.image.studies import NEEDS_IMAGE, has_failed, kept, send, sent
from tests.image.technician import Technician
from tests.image.usb import FIRST, partitioned, pull_out, put_in
from tests.image.waiting import until
from tests.ports import free_port

pytestmark = NEEDS_IMAGE
SLICES = 12
SETUP = "EDGE-SETUP/edge.toml"
RESULT = "EDGE-SETUP/result.txt"
AUTHORITY = "EDGE-SETUP/Clinic-Root.crt"
CODE = "7K2M-Q0XE-41TR-ZB9D"
NETWORK = """
[setup.network]
interface = "{port}"
address = ["10.0.2.15/24"]
gateway = ["10.0.2.2"]
dns = ["10.0.2.3"]
[http]
interface = "{port}"
"""
"""As QEMU's own network is, and as its DHCP gives it."""
SHOWN = r"\b(?:[0-9A-Z]{4}-){3}[0-9A-Z]{4}\b"
LEFT, ENTER = b"\x1b[D", b"\r"


@pytest.fixture(scope="module")
def technician():
    return Technician()


@pytest.fixture(scope="module")
def box(tmp_path_factory, hands):
    """A machine whose disk is on USB, and says so: a small box with an SSD beside it.

    The same image was written to a stick that is in it, too. It has two network cards.
    """
    folder = tmp_path_factory.mktemp("box")
    machine = Machine(
        folder / "machine",
        built(),
        disk_kind="usb-storage",
        sticks=[overlay(folder / "installer.qcow2", built())],
        units=hands.units,
        dropins=hands.dropins,
        other_http_port=free_port(),
        other_dicom_port=free_port(),
    )
    yield machine
    machine.kill()


def device_of(hands, label):
    """What the machine calls the stick of that label; empty if it is not in it."""
    done = hands.run("realpath", "-e", f"/dev/disk/by-label/{label}", seconds=60)
    return done.stdout.decode().strip().rpartition("/")[2]


def answered(hands, label, pattern):
    """Wait until the answer stands on a stick; what the machine calls it."""

    def look():
        name = device_of(hands, label)
        said = hands.run("cat", f"/run/edge-media/{name}/{RESULT}", seconds=60).stdout.decode()
        unit = f"edge-stick@{name}.service"
        state = hands.run("systemctl", "show", "--property", "ActiveState", unit, seconds=60)
        return name, said, state.stdout.decode()

    def is_over(found):
        name, said, state = found
        return name and re.search(pattern, said) and re.search("inactive|failed", state)

    return until(look, is_over)[0]


def disks_with(hands, what):
    """On which disks of the machine a partition has such a column of lsblk's."""
    lines = hands.must("lsblk", "-n", "-r", "-o", "PKNAME,PARTTYPE,PARTLABEL").splitlines()
    return {line.split()[0] for line in lines if what in line.split()[1:]}


def port_of(hands, card):
    """What the machine calls a network card, and its number there."""
    told = json.loads(hands.must("ip", "-j", "link"))
    return next((one["ifname"], one["ifindex"]) for one in told if one.get("address") == card)


def known_as(hands):
    """By what the machine is known in this start: its number, its lease of the second card."""
    _, number = port_of(hands, CARDS[1])
    lease = hands.must("cat", f"/run/systemd/netif/leases/{number}")
    said = dict(line.split("=", 1) for line in lease.splitlines() if "=" in line)
    return {
        "machine": hands.must("cat", "/etc/machine-id").strip(),
        "client": said["CLIENTID"],
        "address": said["ADDRESS"],
    }


def boot_of(hands):
    """Number of this start, as the log has it."""
    return hands.must("cat", "/proc/sys/kernel/random/boot_id").strip().replace("-", "")


def has_page(box, port):
    """Whether its page is reached by that port of loopback, in some seconds."""
    try:
        return box.ask("/readyz", seconds=15, port=port)[0] == 200
    except OSError:
        return False


def test_a_box_that_runs_from_usb_gives_nobody_its_boot_partition(box, hands):
    box.start()
    print(f"first start: {box.until_ready():.0f} s")
    assert not has_failed(box)
    disk = hands.must("/usr/lib/edge/boot-disk").strip()
    assert disk.startswith("sd"), "it is on USB"
    esp = hands.must("realpath", "/run/edge-disk/esp").strip()
    known = hands.must("udevadm", "info", "--query=property", esp)
    assert "ID_BUS=usb" in known
    assert "ID_FS_TYPE=vfat" in known
    assert "edge-media" not in known, "its rule leaves it alone"
    name = esp.rpartition("/")[2]
    assert name not in hands.must("ls", "/run/edge-media").split()
    # Nor if somebody asks for it by name.
    hands.run("systemctl", "start", f"edge-media@{name}.service")
    assert name not in hands.must("ls", "/run/edge-media").split()
    # Root's own may be mounted just now, as root's.
    owned = hands.run("findmnt", "--list", "--noheadings", "--output", "OPTIONS", "--source", esp)
    assert b"uid=" not in owned.stdout
    box.known, box.boots = known_as(hands), [boot_of(hands)]
    print(f"known as: {box.known}")
    assert box.known["client"] == "01" + CARDS[1].replace(":", "")


def test_a_stick_of_the_same_image_is_not_taken_for_its_disk(box, hands):
    [disk] = disks_with(hands, "edge-data")
    assert disks_with(hands, "edge-esp") > {disk}, "the stick is in the machine"
    assert not hands.must("ls", "/run/edge-media").split(), "nor is the stick's given to anybody"
    runs_from_its_own(hands, disk)


def runs_from_its_own(hands, disk):
    """The system, its loader and its data are of this disk, which has UUIDs of its own."""
    assert hands.must("/usr/lib/edge/boot-disk").strip() == disk
    under = hands.must("lsblk", "-n", "-r", "-s", "-o", "NAME,TYPE", "/dev/mapper/root")
    assert {each.split()[0] for each in under.splitlines() if each.endswith(" disk")} == {disk}
    hands.must("ls", "/efi/EFI/Linux")
    mounted = hands.must("findmnt", "--noheadings", "--output", "SOURCE", "--type", "vfat", "/efi")
    assert mounted.strip().startswith(f"/dev/{disk}")
    known = hands.must("lsblk", "-n", "-r", "-o", "PARTUUID,PARTLABEL").splitlines()
    names = [line.split()[0] for line in known if line.endswith(" edge-esp")]
    assert len(names) == len(set(names)) > 1
    disks = hands.must("lsblk", "-n", "-r", "-d", "-o", "PTUUID").split()
    assert len(disks) == len(set(disks))


def test_its_page_is_on_the_serial_line_once_enter_is_pressed(box):
    box.until_said("Press Enter for the page of this box: how it is, its address")
    after = len(box.console)
    box.type_on_line(ENTER)
    box.until_said("This box is new: open its web page in a browser here", after=after)
    assert "https://edge.local/welcome" in box.console[after:]
    # Of the two pages, this and the screen's, each shows the same; either makes another.
    box.until_said("Set-up code", after=after)
    box.type_on_line(b"c")
    box.until_said("The one that was handed out before is worthless then", after=after)
    before = set(re.findall(SHOWN, box.console[after:]))
    box.type_on_line(LEFT)
    box.type_on_line(ENTER)
    [code] = until(lambda: set(re.findall(SHOWN, box.console[after:])) - before, bool)
    # It holds: what is refused is the password alone.
    told = json.dumps({"code": code, "password": "short", "name": "tech"}).encode()
    headers = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}
    status, body = box.ask("/login/redeem", method="POST", body=told, headers=headers)
    assert status >= 400
    assert b"the password has less than" in body, (code, status, body)


def test_a_stick_with_a_mistake_changes_nothing_and_says_where_it_is(box, hands, sticks):
    text = f'[setup]\ntoken = "{CODE}"\n[appliance]\nname = "radiology"\nnmae = "x"\n'
    image = partitioned(sticks / "wrong.img", {SETUP: text.encode()}, "WRONG")
    put_in(box, image, "wrong")
    name = answered(hands, "WRONG", "Nothing was changed")
    assert re.fullmatch(r"sd[a-z]1", name)
    listed = hands.must("findmnt", "--noheadings", "--output", "FSTYPE,OPTIONS",
                        f"/run/edge-media/{name}")  # fmt: skip
    assert listed.startswith("vfat")
    assert {"nosuid", "nodev", "noexec", "nosymfollow"} <= set(re.split(r"[\s,]+", listed))
    pull_out(box, "wrong")
    until(
        lambda: hands.must("ls", "/run/edge-media", seconds=60).split(),
        lambda left: name not in left,
    )
    there = f"{image}@@{FIRST}"
    said = on_stick(there, RESULT)
    assert b"EDGE-SETUP/edge.toml:5: appliance.nmae is not a known key" in said, said
    assert CODE.encode() in on_stick(there, SETUP), "it was not taken"
    assert hands.must("edge", "provision", "show").startswith("this box was set up by no file")


def test_a_network_that_is_not_there_does_not_come_up_by_another_port(box, hands, sticks):
    text = b'[appliance]\nname = "nowhere"\n[setup.network]\ninterface = "nosuch0"\n'
    image = stick(sticks / "network.img", {SETUP: text}, "NETWORK")
    put_in(box, image, "network")
    answered(hands, "NETWORK", "Nothing was changed")
    pull_out(box, "network")
    assert b"the network did not come up within 60 s" in on_stick(image, RESULT)
    assert json.loads(hands.must("cat", "/run/edge-machine/network.json")) in ({}, {"kept": {}})
    assert hands.must("edge", "provision", "show").startswith("this box was set up by no file")


def test_a_stick_sets_it_up_with_its_network_and_the_clinics_authority(
    box, hands, sticks, technician
):
    authority = trustme.CA().cert_pem.bytes()
    assert has_page(box, box.other_http_port), "by each card, until somebody says otherwise"
    text = technician.settings.replace(b"[setup]\n", b'[setup]\nca = "clinic-root.crt"\n')
    text += NETWORK.format(port=port_of(hands, CARDS[0])[0]).encode()
    files = {SETUP: text, AUTHORITY: authority}
    image = stick(sticks / "right.img", files, "RIGHT")
    put_in(box, image, "right")
    answered(hands, "RIGHT", "This box was set up by the stick|Nothing was changed|to the end")
    pull_out(box, "right")
    said, left = on_stick(image, RESULT), on_stick(image, SETUP)
    assert b"This box was set up by the stick" in said, (said, hands.must("journalctl", "-n", "50"))
    assert b"Name       radiology\r\n" in said
    assert re.search(rb"Addresses  (\S+, )*10\.0\.2\.15\b", said)
    assert b'token = ""' in left
    technician.takes_over(box)
    status, body = box.ask("/api/v1/status", token=technician.token)
    assert status == 200, body
    state = json.loads(hands.must("cat", "/run/edge-machine/network.json"))
    assert state["kept"]["address"] == ["10.0.2.15/24"]
    assert "tried" not in state
    trusted = hands.must("cat", "/run/edge-machine/ca-bundle.pem")
    assert authority.decode().strip() in trusted
    assert len(trusted) > 10 * len(authority), "beside those of the system"


def test_another_stick_does_not_set_it_up_again(box, hands, sticks):
    image = stick(sticks / "other.img", {SETUP: b'[appliance]\nname = "mine"\n'}, "OTHER")
    put_in(box, image, "other")
    answered(hands, "OTHER", "Nothing was changed")
    pull_out(box, "other")
    assert b"set up already, by the stick" in on_stick(image, RESULT)


def test_the_page_is_kept_to_one_network_card_and_dicom_is_not(box, technician):
    until(lambda: has_page(box, box.other_http_port), lambda has: not has)
    for seed, port in ((862, 0), (863, box.other_dicom_port)):
        done = send(box, 2, seed, port)
        assert done.returncode == 0, done.stderr
        assert kept(box, seed, technician.token) == sent(2, seed)
    assert has_page(box, box.http_port)
    assert not has_page(box, box.other_http_port)


def test_it_starts_again_as_it_was_set_up_with_the_stick_in(box, hands, sticks, technician):
    assert send(box, SLICES, 861).returncode == 0
    box.stop()
    hands.let_go()
    box.sticks = [sticks / "right.img", *box.sticks]
    before = len(box.console)
    box.start().until_ready()
    answered(hands, "RIGHT", "set up by this file before; nothing was changed")
    [disk] = disks_with(hands, "edge-data")
    runs_from_its_own(hands, disk)
    assert kept(box, 861, technician.token) == sent(SLICES, 861)
    assert "10.0.2.15/24" in hands.must("cat", "/run/systemd/network/10-edge.network")
    assert not has_page(box, box.other_http_port), "as before"
    assert send(box, 2, 864, box.other_dicom_port).returncode == 0
    assert known_as(hands) == box.known
    box.boots.append(boot_of(hands))
    log = hands.must("journalctl", "--list-boots", "--no-pager")
    assert [boot for boot in box.boots if boot in log] == box.boots, log
    first = ("--boot", box.boots[0], "--unit", "edge", "--lines", "5")
    assert hands.must("journalctl", "--no-pager", *first).count("\n") == 5
    assert not re.findall(r"\[\S*FAILED\S*\] (.*)", box.console[before:])
    box.stop()
