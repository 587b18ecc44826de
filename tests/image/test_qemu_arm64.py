"""The image for 64-bit ARM processors, on the machine that QEMU calls virt: its self test.

``scripts/test-image arm64`` runs it, and nothing else does: a processor of another kind is
emulated, and a start takes many minutes.
"""

from __future__ import annotations

import os

import pytest

from tests.image.machine import Machine, built, hindrance

pytestmark = [
    pytest.mark.skipif("EDGE_TEST_IMAGE" not in os.environ, reason="scripts/test-image runs it"),
    pytest.mark.skipif(bool(hindrance("arm64")), reason=hindrance("arm64")),
]
SELF_TEST = """[Unit]
After=edge.service
Wants=edge.service
[Service]
Type=oneshot
User=edge
ExecStart=/opt/edge/.venv/bin/edge selftest
StandardOutput=journal+console
StandardError=journal+console
"""


def test_it_starts_serves_and_passes_its_self_test(tmp_path):
    machine = Machine(
        tmp_path / "machine",
        built("arm64"),
        profile="arm64",
        units={"test-self.service": SELF_TEST},
        options="systemd.wants=test-self.service",
    )
    try:
        print(f"ready after {machine.start().until_ready(3600):.0f} s")
        print(machine.until_said(r"the box (does|does not do) what it is for", 1800))
        assert "the box does what it is for" in machine.console
        assert "FAILED" not in machine.console
        machine.stop()
    finally:
        machine.kill()
