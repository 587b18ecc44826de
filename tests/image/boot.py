"""The disk image in QEMU, for people: see ``scripts/boot-image``."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.image.machine import BUILD, FIRMWARE, Machine, built, hindrance, switched_on
from tests.image.media import overlay, stick

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Boot the image until it ends, or somebody interrupts it."""
    given = _parsed(arguments)
    if lacks := hindrance(given.profile):
        print(f"boot-image: {lacks}", file=sys.stderr)
        return 2
    folder = given.folder or BUILD / "machine"
    if given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    sticks = []
    for number, each in enumerate(given.stick):
        if each.is_dir():
            files = {
                str(path.relative_to(each)): path for path in each.rglob("*") if path.is_file()
            }
            sticks.append(stick(folder / f"stick{number}.img", files, given.label))
        else:
            kept = folder / f"stick{number}.qcow2"
            sticks.append(kept if kept.exists() else overlay(kept, each))
    machine = Machine(
        folder,
        None if given.empty else given.image or built(given.profile),
        profile=given.profile,
        memory=given.memory,
        cores=given.cores,
        disk_size=given.disk_size,
        sticks=sticks,
        display=given.display,
        is_typed=given.type,
        is_over_at_restart=given.empty,
        boots_from="stick" if given.empty else "disk",
        tpm=given.tpm,
        slow=given.slow,
        options=given.options,
        accelerator=given.accelerator,
        http_port=given.http,
        dicom_port=given.dicom,
    )
    began, shown, is_ready = time.monotonic(), len(machine.console), False
    with switched_on(machine):
        how = "Ctrl-A, then x" if given.type else "Ctrl-C"
        print(f"{machine.url} and DICOM at 127.0.0.1:{machine.dicom_port}; end it with {how}")
        try:
            while machine.process and machine.process.poll() is None:
                text = machine.console
                if not given.quiet and not given.type:
                    sys.stdout.write(text[shown:])
                    sys.stdout.flush()
                shown = len(text)
                if not is_ready:
                    with contextlib.suppress(OSError):
                        is_ready = machine.ask("/readyz", seconds=5)[0] == 200
                        if is_ready:
                            print(f"\nboot-image: ready after {time.monotonic() - began:.0f} s")
                time.sleep(0.5)
        except KeyboardInterrupt:
            print("\nboot-image: the power button is pressed")
            machine.stop()
    return 0


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/boot-image", description=main.__doc__)
    add = parser.add_argument
    add("profile", nargs="?", default="amd64", choices=sorted(FIRMWARE))
    add("--image", type=Path, help="another image than the one that was built")
    add("--folder", type=Path, help="of the machine; a new one each time without it is")
    add("--empty", action="store_true", help="the disk is empty, such as for the installer")
    add(
        "--stick",
        type=Path,
        action="append",
        default=[],
        help="image of a stick that is in it, or"
        " a folder that becomes one; the first is booted from with --empty",
    )
    add("--label", default="SETUP", help="of sticks that are made from folders")
    add("--memory", type=int, default=2048, help="MiB")
    add("--cores", type=int, default=2)
    add("--disk-size", default="16G")
    add("--tpm", action="store_true", help="it has a TPM (swtpm)")
    add("--slow", action="store_true", help="the disk is as slow as an SD card")
    add("--accelerator", default="", help="as QEMU calls it; else the fastest that works here")
    add("--options", default="", help="for the kernel")
    add("--http", type=int, default=8443, help="port of loopback for HTTPS")
    add("--dicom", type=int, default=11112, help="port of loopback for DICOM")
    add("--display", default="none", help="as QEMU calls it, such as gtk: its screen")
    add("--type", action="store_true", help="what is typed goes to its serial console")
    add("--quiet", action="store_true", help="its serial console is not shown")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
