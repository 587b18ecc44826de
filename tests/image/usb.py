"""USB sticks and disks that are put into a machine which runs, and pulled out of it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.image.machine import Machine
from tests.image.media import node, run, stick

__all__ = ["FIRST", "partitioned", "pull_out", "put_in"]

FIRST = 1024**2
"""Where the partition of a stick begins, in bytes."""
_PATIENCE = 60.0


def put_in(machine: Machine, image: Path, name: str, *, is_stick: bool = True) -> None:
    """Put one in.

    Args:
        machine: Runs.
        image: Of the stick, or of the disk.
        name: By which it is pulled out; letters and digits.
        is_stick: It calls itself removable, as sticks do; a disk in a USB case does not.
    """
    machine.monitor("blockdev-add", **node(image, name))
    machine.monitor(
        "device_add",
        driver="usb-storage",
        bus="usb.0",
        id=f"{name}-device",
        drive=name,
        removable=is_stick,
    )


def pull_out(machine: Machine, name: str) -> None:
    """Pull it out, whatever the machine does with it."""
    machine.monitor("device_del", id=f"{name}-device")
    deadline = time.monotonic() + _PATIENCE
    while True:  # its file is let go of a moment later
        try:
            machine.monitor("blockdev-del", **{"node-name": name})
            return
        except RuntimeError:
            assert time.monotonic() < deadline, "the stick can't be pulled out"
            time.sleep(0.2)


def partitioned(path: Path, files: dict[str, bytes | Path], label: str) -> Path:
    """A stick as shops sell it: one partition of FAT, in a table of the old kind."""
    plain = stick(path.with_suffix(".fat"), files, label)
    with path.open("wb") as file:
        file.truncate(FIRST + plain.stat().st_size)
    run("sfdisk", "-q", path, said=b"label: dos\nstart=2048, type=c\n")
    run("dd", f"if={plain}", f"of={path}", "bs=1M", "seek=1", "conv=notrunc,sparse", "status=none")
    plain.unlink()
    return path
