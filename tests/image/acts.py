"""What a person does at a machine in QEMU while it runs, as words that somebody types.

Owns what was done: which sticks are in, whether the cable is, whether the power is on. An act that
can't be done says why, and changes nothing.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from edge.phantom import phantom
from tests.fakes.orthanc import Orthanc
from tests.image.machine import HOST, Machine
from tests.image.media import overlay, stick
from tests.image.usb import pull_out, put_in

__all__ = ["HELP", "Acts", "stick_of"]

HELP = """\
Type, and press Enter:
  stick PATH [LABEL]  put a stick in: a folder becomes one called LABEL (SETUP); or the image of one
  out                 pull out the one that was put in last
  power               the power goes; once more: it is back
  cable               the network cable is pulled out; once more: it is in
  archive             the stand-in archive is gone; once more: it is back
  send [SLICES]       CT1 sends a study of nobody (20)
  picture FILE        what the screen shows, as PNG
  press KEY …         keys on its keyboard, by QEMU's names: press d, press shift-a, press ret"""
_MONITOR = (OSError, RuntimeError)
"""What `Machine.monitor` raises where QEMU can't do it."""


class Acts:
    """At one machine that is on.

    Args:
        machine: It.
        archive: That runs beside it, if one does.
        say: What came of an act goes there.
    """

    def __init__(
        self, machine: Machine, archive: Orthanc | None = None, say: Callable[[str], None] = print
    ) -> None:
        self._machine = machine
        self._archive = archive
        self._say = say
        self._in = [f"stick{number}" for number in range(len(machine.sticks))]
        self._put = 0
        self._has_cable = True
        self._sent = 0

    @property
    def is_off(self) -> bool:
        """Whether the power was taken, and did not come back."""
        return self._machine.process is None

    def do(self, typed: str) -> None:
        """One act."""
        word, *rest = typed.split() or [""]
        acts: dict[str, Callable[..., str]] = {
            "stick": self._stick,
            "out": self._out,
            "power": self._power,
            "cable": self._cable,
            "archive": self._switch_archive,
            "send": self._send,
            "picture": self._picture,
            "press": self._press,
        }
        act = acts.get(word)
        if not word:
            return
        if act is None:
            self._say(HELP)
            return
        if self.is_off and word not in ("power", "archive"):
            self._say("it is off: power switches it on")
            return
        try:
            self._say(act(*rest))
        except TypeError:  # more or fewer words than it takes
            self._say(HELP)
        except (ValueError, subprocess.SubprocessError, *_MONITOR) as error:
            self._say(f"{word}: {error}")

    def _stick(self, path: str, label: str = "SETUP") -> str:
        if not Path(path).exists():
            raise FileNotFoundError(f"there is no {path}")
        self._put += 1
        name = f"put{self._put}"
        image = stick_of(self._machine.folder / name, Path(path), label)
        put_in(self._machine, image, name)
        self._in.append(name)
        if image.suffix != ".img":
            return "it is in"
        return f"it is in; mtype -i {image} ::EDGE-SETUP/result.txt shows a file on it"

    def _out(self) -> str:
        if not self._in:
            raise ValueError("no stick is in")
        pull_out(self._machine, self._in[-1])
        self._in.pop()
        return "it is out"

    def _power(self) -> str:
        if self.is_off:
            # What lay in it when it was first switched on lies there again.
            self._machine.start()
            self._in = [f"stick{number}" for number in range(len(self._machine.sticks))]
            self._has_cable = True
            return "the power is back"
        self._machine.kill()
        return "the power is gone"

    def _cable(self) -> str:
        self._machine.monitor("set_link", name="net", up=not self._has_cable)
        self._has_cable = not self._has_cable
        return f"the cable is {'in' if self._has_cable else 'out'}"

    def _switch_archive(self) -> str:
        if self._archive is None:
            raise ValueError("none runs: start with --archive")
        if self._archive.process is None:
            self._archive.start()
            return "the archive is back"
        self._archive.stop()
        return "the archive is gone"

    def _send(self, slices: str = "20") -> str:
        self._sent += 1
        number = f"{time.strftime('%H%M%S')}-{self._sent}"
        modality = AE("CT1")
        modality.acse_timeout = modality.dimse_timeout = modality.network_timeout = 60
        study = phantom("EDGE^QEMU", f"QEMU-{number}", int(slices))
        modality.add_requested_context(CTImageStorage, study[0].file_meta.TransferSyntaxUID)
        association = modality.associate("127.0.0.1", self._machine.dicom_port, ae_title="EDGE")
        if not association.is_established:
            raise ValueError(f"nobody accepts it: is the box up, and CT1 at {HOST} let in?")
        stored = 0
        try:
            for instance in study:
                stored += getattr(association.send_c_store(instance), "Status", None) == 0x0000
        finally:
            association.release()
        return f"{stored} of {len(study)} images of patient QEMU-{number} were acknowledged"

    def _picture(self, file: str) -> str:
        return f"it is in {self._machine.picture(Path(file).absolute())}"

    def _press(self, *keys: str) -> str:
        self._machine.type(keys)
        return "pressed"


def stick_of(place: Path, path: Path, label: str) -> Path:
    """The image of a stick: made of a folder, or laid over an image, which is not written to.

    Args:
        place: Where it is kept, without a suffix; an image laid over another is taken as it was
            left there.
        path: The folder, or the image.
        label: Of one that is made of a folder.
    """
    if path.is_dir():
        files = {str(one.relative_to(path)): one for one in path.rglob("*") if one.is_file()}
        return stick(place.with_suffix(".img"), dict(files), label)
    kept = place.with_suffix(".qcow2")
    return kept if kept.exists() else overlay(kept, path)
