"""An UPS on USB is found, and NUT is told of it."""

from __future__ import annotations

import pytest

from edge.errors import MachineRefused
from edge.machine.ups import find_ups, found_in
from tests.machine.machines import Machine

SAID = """Scanning USB bus.
[nutdev1]
\tdriver = "usbhid-ups"
\tport = "auto"
\tvendorid = "051D"
\tproductid = "0002"
\tproduct = "Back-UPS ES 700G FW:871.O2 .I USB FW:O2"
\tserial = "5B1234X56789"
\tbus = "001"
"""


def test_what_its_driver_needs_is_taken_and_nothing_else():
    assert found_in(SAID) == {
        "driver": "usbhid-ups",
        "port": "auto",
        "vendorid": "051D",
        "productid": "0002",
        "serial": "5B1234X56789",
    }


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Scanning USB bus.\n",
        "[nutdev1]\n",
        '[nutdev1]\ndriver = "usbhid-ups"\n',
        '[nutdev1]\ndriver = "../../bin/sh"\nport = "auto"\n',
        '[nutdev1]\ndriver = "usbhid-ups; id"\nport = "auto"\n',
    ],
)
def test_nothing_was_found(said):
    assert found_in(said) is None


def test_of_two_the_first_that_is_whole():
    broken = "[nutdev1]\nport = auto\n"
    assert found_in(broken + SAID)["serial"] == "5B1234X56789"
    assert (
        found_in(SAID + '[nutdev2]\ndriver = "blazer_usb"\nport = "auto"\n')["vendorid"] == "051D"
    )


def test_a_device_that_calls_itself_badly_adds_no_line():
    said = SAID.replace("5B1234X56789", 'x"\n\tdesc = "y')
    found = found_in(said)
    assert "serial" not in found or "\n" not in found["serial"]


@pytest.fixture
def scanner(machine: Machine):
    program = machine.root / "programs/nut-scanner"
    program.write_text((machine.root / "programs/smartctl").read_text())
    program.chmod(0o755)
    return machine


def test_nut_is_told_and_nobody_else_reads_its_password(scanner, places):
    scanner.says("nut-scanner", SAID)
    assert find_ups(places, scanner.tools)
    first = {path.name: path.read_text() for path in places.nut.iterdir()}
    assert set(first) == {"ups.conf", "upsd.conf", "upsd.users", "upsmon.conf"}
    assert "[edge]\n  driver = usbhid-ups\n  port = auto\n" in first["ups.conf"]
    password = first["upsd.users"].partition("password = ")[2].split()[0]
    assert f"MONITOR edge@localhost 1 edge {password} primary" in first["upsmon.conf"]
    for path in (places.nut, *places.nut.iterdir()):
        assert path.stat().st_mode & 0o007 == 0, path
    assert find_ups(places, scanner.tools)
    assert password not in (places.nut / "upsd.users").read_text()


def test_without_one_nothing_is_written(scanner, places):
    assert not find_ups(places, scanner.tools)
    assert not places.nut.exists()


def test_without_anything_on_usb_it_is_none_and_no_failure(scanner, places):
    """It was an error in the log, each time that was looked."""
    program = scanner.root / "programs/nut-scanner"
    why = "No USB device found: Resource temporarily unavailable"
    program.write_text(f'#!/bin/sh\necho "{why}" >&2\nexit 1\n')
    assert not find_ups(places, scanner.tools)
    program.write_text('#!/bin/sh\necho "Cannot load USB library" >&2\nexit 1\n')
    with pytest.raises(MachineRefused, match="Cannot load"):
        find_ups(places, scanner.tools)


def test_without_nut_it_says_so(machine, places):
    with pytest.raises(MachineRefused, match="no nut-scanner"):
        find_ups(places, machine.tools)
