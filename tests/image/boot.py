"""The disk image in QEMU, for people: see ``scripts/boot-image``."""

from __future__ import annotations

import argparse
import contextlib
import queue
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fakes.orthanc import PASSWORD, USER, Orthanc
from tests.image.acts import HELP, Acts, stick_of
from tests.image.machine import (
    BUILD,
    FIRMWARE,
    HOST,
    Machine,
    built,
    hindrance,
    lacking,
    switched_on,
)

__all__ = ["main"]

_ARCHIVE = """\
A stand-in archive runs; what it has is at http://127.0.0.1:{port}, for {user} and this password.
For edge.toml; lab, for it has no certificate:
  [appliance]
  lab = true
  [[cloud.archive]]
  name = "hospital"
  kind = "orthanc"
  url = "http://{host}:{port}/dicom-web"
  auth = {{ kind = "basic", user = "{user}", password = "{password}" }}"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Boot the image until it ends, or somebody interrupts it."""
    given = _parsed(arguments)
    has_image = given.image or given.empty
    if lacks := lacking(given.profile) if has_image else hindrance(given.profile):
        print(f"boot-image: {lacks}", file=sys.stderr)
        return 2
    folder = given.folder or BUILD / "machine"
    if given.folder is None:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    sticks = [
        stick_of(folder / f"stick{number}", each, given.label)
        for number, each in enumerate(given.stick)
    ]
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
        is_apart=not given.type,
    )
    with contextlib.ExitStack() as stack:
        archive = None
        if given.archive:
            archive = Orthanc(folder / "archive", http_port=given.archive)
            stack.enter_context(archive)
            print(_ARCHIVE.format(host=HOST, port=given.archive, user=USER, password=PASSWORD))
        stack.enter_context(switched_on(machine))
        return _stay(machine, archive, is_typed=given.type, is_quiet=given.quiet)


def _stay(machine: Machine, archive: Orthanc | None, *, is_typed: bool, is_quiet: bool) -> int:
    """Until it ends, or somebody interrupts it."""
    shown = len(machine.console)
    how = "Ctrl-A, then x" if is_typed else "Ctrl-C"
    print(f"{machine.url} and DICOM at 127.0.0.1:{machine.dicom_port}; end it with {how}")
    # In a thread of its own: what listens before the box does keeps who asks waiting.
    threading.Thread(target=_say_when_ready, args=(machine,), daemon=True).start()
    acts, typed = Acts(machine, archive), queue.SimpleQueue[str]()
    if not is_typed:
        print(HELP)
        threading.Thread(target=_read_into, args=(typed,), daemon=True).start()
    try:
        while acts.is_off or (machine.process and machine.process.poll() is None):
            text = machine.console
            if not is_quiet and not is_typed:
                sys.stdout.write(text[shown:])
                sys.stdout.flush()
            shown = len(text)
            with contextlib.suppress(queue.Empty):
                acts.do(typed.get(timeout=0.5))
    except KeyboardInterrupt:
        print("\nboot-image: the power button is pressed")
        machine.stop()
    return 0


def _say_when_ready(machine: Machine) -> None:
    began = time.monotonic()
    while True:
        with contextlib.suppress(OSError):
            if machine.ask("/readyz", seconds=5)[0] == 200:
                print(f"\nboot-image: ready after {time.monotonic() - began:.0f} s")
                return
        time.sleep(0.5)


def _read_into(typed: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        typed.put(line)


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
    add("--display", default="none", help="of its screen, as QEMU calls it: gtk, vnc=127.0.0.1:1")
    add(
        "--archive",
        type=int,
        nargs="?",
        const=8042,
        metavar="PORT",
        help="a stand-in archive (Orthanc) runs beside it, at this port of loopback (8042)",
    )
    add("--type", action="store_true", help="what is typed goes to its serial console")
    add("--quiet", action="store_true", help="its serial console is not shown")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
