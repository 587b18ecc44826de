"""What runs a machine's processor: the host's own (KVM), where that works, else QEMU's translation.

KVM may be there and fail, such as inside of another virtual machine, and then in the firmware
already; so the firmware is started with it once, and has to come as far as to look for what it
boots. Translation is some thirty times slower.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["TRANSLATED", "comes_up", "fastest"]

TRANSLATED = "tcg,thread=multi"
_DEVICE = Path("/dev/kvm")
_ALIVE = b"BdsDxe"
"""What the firmware says on the serial line before it boots something."""


@cache
def fastest(program: str, code: str, variables: str) -> str:
    """The fastest that works here, as QEMU calls it; EDGE_TEST_ACCELERATOR says it for all.

    Args:
        program: QEMU.
        code: The firmware.
        variables: Those that it begins with.
    """
    if said := os.environ.get("EDGE_TEST_ACCELERATOR"):
        return said
    if not program.endswith(f"-{os.uname().machine}") or not os.access(_DEVICE, os.R_OK | os.W_OK):
        return TRANSLATED
    words = ["-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm", "-cpu", "max"]
    words += ["-m", "256", "-display", "none", "-no-reboot"]
    words += ["-drive", f"if=pflash,format=raw,readonly=on,file={code}"]
    words += ["-drive", f"if=pflash,format=raw,snapshot=on,file={variables}"]
    return "kvm" if comes_up([program, *words]) else TRANSLATED


def comes_up(command: Sequence[str], seconds: float = 20) -> bool:
    """Whether a machine that this starts gets through its firmware in time."""
    with tempfile.TemporaryDirectory() as name:
        line = Path(name) / "serial"
        process = subprocess.Popen(
            [*command, "-serial", f"file:{line}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + seconds
            while process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(FileNotFoundError):
                    if _ALIVE in line.read_bytes():
                        return True
                time.sleep(0.1)
            return False
        finally:
            process.kill()
            process.wait()
