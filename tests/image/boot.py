"""The disk image in QEMU, for people: see ``scripts/boot-image``."""

from __future__ import annotations

import argparse
import contextlib
import queue
import shutil
import signal
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
A stand-in archive runs; what it has is at http://127.0.0.1:{port}, for {user} and the password
below. The whole of an edge.toml with it and with CT1, which sends from here; in a file of your
own, lab goes below the [appliance] that is there, and the archive in the place of that one:
"""
_SETTINGS = """\
[appliance]
name = "St. Brigid"
lab = true                    # a laboratory: this archive has no certificate

[[dimse.peer]]
ae_title = "CT1"
host = "{host}"

[[cloud.archive]]
name = "hospital"
kind = "orthanc"
url = "http://{host}:{port}/dicom-web"
auth = {{ kind = "basic", user = "{user}", password = "{password}" }}
"""
_TO_GO_OFF = 300.0
"""Seconds that a box has for it, once its button was pressed, when this ends."""
_TO_TELL = 5.0
"""Seconds that what was being sent has to tell its count, when this ends."""


def settings_of(port: int) -> str:
    """An ``edge.toml`` for a box whose archive is the stand-in at this port."""
    return _SETTINGS.format(host=HOST, port=port, user=USER, password=PASSWORD)


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
            archive = Orthanc(folder / "archive", http_port=given.archive, is_apart=not given.type)
            stack.enter_context(archive)
            print(_ARCHIVE.format(port=given.archive, user=USER))
            print(settings_of(given.archive))
        stack.enter_context(switched_on(machine))
        return _stay(machine, archive, is_typed=given.type, is_quiet=given.quiet)


def _stay(machine: Machine, archive: Orthanc | None, *, is_typed: bool, is_quiet: bool) -> int:
    """Until it ends, or somebody interrupts it."""
    if threading.current_thread() is threading.main_thread():
        # Whoever starts this in the background of a script leaves it deaf.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    how = "Ctrl-A, then x" if is_typed else "Ctrl-C"
    print(f"{machine.url} and DICOM at 127.0.0.1:{machine.dicom_port}; end it with {how}")
    acts, typed = Acts(machine, archive), queue.SimpleQueue[str]()
    ended = threading.Event()
    shower = threading.Thread(
        target=_show, args=(machine, len(machine.console), ended), daemon=True
    )
    if not is_typed:
        print(HELP)
        threading.Thread(target=_read_into, args=(typed,), daemon=True).start()
        if not is_quiet:
            shower.start()
    try:
        return _act(machine, acts, typed)
    finally:
        machine.kill()  # what is being sent is cut off now, and has its count
        acts.finish(_TO_TELL)
        ended.set()
        if shower.is_alive():
            shower.join()


def _act(machine: Machine, acts: Acts, typed: queue.SimpleQueue[str]) -> int:
    """Do what is typed; the status with which this ends."""
    watched, until = None, 0.0
    while not acts.has_ended():
        if until and (acts.is_off or time.monotonic() > until):
            if not acts.is_off:
                print(f"boot-image: it is not off after {_TO_GO_OFF:.0f} s; the power goes")
            return int(not acts.is_off)
        if machine.process and machine.process is not watched:
            watched = machine.process
            # In a thread of its own: what listens before the box does keeps who asks waiting.
            threading.Thread(target=_say_when_ready, args=(machine,), daemon=True).start()
        try:
            with contextlib.suppress(queue.Empty):
                acts.do(typed.get(timeout=0.5))
        except KeyboardInterrupt:
            if until or acts.is_off:
                return int(not acts.is_off)
            print()
            acts.do("button")
            if not acts.is_going_off:  # it was not on for long enough
                return 1
            print("boot-image: this ends once it is off, and does what is typed till then")
            print("boot-image: Ctrl-C once more, and the power goes")
            until = time.monotonic() + _TO_GO_OFF
    assert machine.process is not None
    if status := machine.process.returncode:
        log = machine.folder / "qemu.log"
        last = log.read_text(errors="replace")[-500:] if log.exists() else ""
        print(f"\nboot-image: QEMU ended with {status}\n{last}", file=sys.stderr)
    return int(bool(status))


def _show(machine: Machine, shown: int, ended: threading.Event) -> None:
    """What comes over its serial line after so many characters."""
    is_last = False
    while not is_last:
        is_last = ended.wait(0.5)
        text = machine.console
        sys.stdout.write(text[shown:])
        sys.stdout.flush()
        shown = len(text)


def _say_when_ready(machine: Machine) -> None:
    began, process = time.monotonic(), machine.process
    while process and machine.process is process and process.poll() is None:
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
