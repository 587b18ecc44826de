"""A serial line has the page of the box, once somebody asks for it."""

from __future__ import annotations

import os
import pty
import select
import subprocess

from tests.image.booted import UNIT

UNITS = UNIT.parent
IMAGE = UNITS.parent


def service_of(name):
    """Of a unit: the keys of its service, once each."""
    text = (UNITS / name).read_text().partition("[Service]")[2].partition("[Install]")[0]
    lines = text.splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")


def read_to(descriptor, text):
    """What comes, up to some text."""
    found = ""
    while text not in found:
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready, found
        found += os.read(descriptor, 4096).decode()
    return found


def test_systemd_starts_it_for_each_line_that_the_kernel_speaks_on(tmp_path):
    folder = tmp_path / "etc/systemd/system"
    folder.mkdir(parents=True)
    text = (IMAGE / "mkosi.finalize").read_text()
    [line] = [one for one in text.splitlines() if "serial-getty@.service" in one]
    subprocess.run(["bash", "-euc", line], env=os.environ | {"root": str(tmp_path)}, check=True)
    found = (folder / "serial-getty@.service").readlink()
    assert str(found) == "/usr/lib/systemd/system/edge-console-serial@.service"
    # As it lies there while presets are applied, it would be taken for what is to be disabled.
    assert not (IMAGE / "mkosi.extra/etc/systemd/system/serial-getty@.service").is_symlink()


def test_its_walls_are_those_of_the_screen():
    serial, screen = (service_of(f"edge-console{which}@.service") for which in ("-serial", ""))
    for one in (serial, screen):
        for key in ("ExecStartPre", "ExecStart", "RestartSec", "TTYVHangup", "TTYVTDisallocate"):
            one.pop(key, None)
    assert serial == screen
    assert serial["User"] == "edge"


def test_the_kernel_does_not_write_over_the_page_of_the_screen():
    """Neither before there is a page: what the installer and the start say is not touched."""
    command = service_of("edge-console@.service")["ExecStartPre"]
    assert command == "-+/bin/sh -c 'echo 2 >/proc/sys/kernel/printk'"
    assert "loglevel=4" in (IMAGE / "mkosi.conf").read_text()


def test_the_page_comes_once_enter_is_pressed_and_not_before(tmp_path):
    page = tmp_path / "edge"
    page.write_text('#!/bin/sh\necho "The page: $*"\n')
    page.chmod(0o755)
    command = service_of("edge-console-serial@.service")["ExecStart"]
    ours, line = pty.openpty()
    command = command.replace("/opt/edge/.venv/bin/edge", str(page))
    with subprocess.Popen(["sh", "-c", command], stdin=line, stdout=line) as started:
        os.close(line)
        assert "The page" not in (said := read_to(ours, "set-up code"))
        assert "of a new one the set-up code" in said  # nobody is offered one that there is not
        assert started.poll() is None
        os.write(ours, b"\n")
        read_to(ours, "The page: console")
        started.wait(60)
    os.close(ours)
