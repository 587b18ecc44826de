"""What a person does at a machine in QEMU while it runs, as words that somebody types.

Owns what was done: which sticks are in, whether the cable is, whether the power is on, what is
being sent. An act that can't be done says why, and changes nothing. Only sending takes long, and
goes on beside what is done next; that it ended, or was cut, is told with its count.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydicom.dataset import Dataset

from edge.phantom import phantom
from tests.fakes.orthanc import Orthanc
from tests.image.machine import HOST, Machine
from tests.image.media import overlay, stick
from tests.image.modality import stored
from tests.image.usb import pull_out, put_in

__all__ = ["HELP", "Acts", "stick_of"]

HELP = """\
Type, and press Enter:
  stick PATH [LABEL]  put a stick in: a folder becomes one called LABEL (SETUP); or the image of one
  out                 pull out the one that was put in last
  power               the power goes; once more: it is back
  button              the power button is pressed: the box switches itself off, and once more: on
  cable               the box's own network cable is pulled out; once more: it is in
  archive             the stand-in archive is gone, as if the line out of the house were;
                      once more: it is back
  send [SLICES]       CT1 sends a study of nobody (20). All else can be done meanwhile; how many
                      images were acknowledged is told when it ends, or is cut off
  send rest           … what was not acknowledged of that
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
        self._sending: threading.Thread | None = None
        self._patient = ""
        self._rest: Sequence[Dataset] = ()
        self._pressed = 0.0
        """When its power button was, of the monotonic clock; 0: it was not, since it is on."""

    @property
    def is_off(self) -> bool:
        """Whether it is, by these acts, and was not switched on again."""
        return self._machine.process is None

    @property
    def is_going_off(self) -> bool:
        """Whether its power button was pressed, and it is still on."""
        return self._pressed > 0

    def has_ended(self) -> bool:
        """Whether its QEMU did otherwise than by these acts; that it is off by its button is told.

        To be asked now and then.
        """
        process = self._machine.process
        if process is None or process.poll() is None:
            return False
        if not self._pressed or process.returncode:
            return True
        seconds = time.monotonic() - self._pressed
        self._no_power()
        self._say(f"it is off, {seconds:.0f} s after its button was pressed; button: on again")
        return False

    def finish(self, seconds: float) -> None:
        """Wait until what is being sent ended, and said so."""
        if self._sending:
            self._sending.join(seconds)

    def do(self, typed: str) -> None:
        """One act."""
        word, *rest = typed.split() or [""]
        acts: dict[str, Callable[..., str]] = {
            "stick": self._stick,
            "out": self._out,
            "power": self._power,
            "button": self._button,
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
        if self.is_off and word not in ("power", "button", "archive"):
            self._say("it is off: button or power switches it on")
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
        self._no_power()
        return "the power is gone"

    def _no_power(self) -> None:
        self._machine.kill()
        self._pressed = 0.0

    def _button(self) -> str:
        if self.is_off:
            self._power()
            return "it is on"
        self._machine.monitor("system_powerdown")
        self._pressed = time.monotonic()
        return "its power button is pressed"

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
        if self._sending and self._sending.is_alive():
            raise ValueError("CT1 is still sending")
        if slices == "rest":
            study = self._rest
            if not study:
                raise ValueError("nothing is left of what was sent")
        else:
            if int(slices) < 1:
                raise ValueError("it takes one image or more")
            self._sent += 1
            self._patient = f"QEMU-{time.strftime('%H%M%S')}-{self._sent}"
            study = phantom("EDGE^QEMU", self._patient, int(slices))
        self._rest = study
        self._sending = threading.Thread(target=self._store, args=(study,), daemon=True)
        self._sending.start()
        return f"CT1 sends {len(study)} images of patient {self._patient}"

    def _store(self, study: Sequence[Dataset]) -> None:
        """What `_send` goes on with beside the next acts."""
        left = {image.SOPInstanceUID: image for image in study}
        answers = stored(self._machine.dicom_port, study, calling="CT1")
        why = ""
        try:
            for image, is_stored in zip(study, answers, strict=True):
                if is_stored:
                    del left[image.SOPInstanceUID]
        except ConnectionRefusedError:
            why = f"; nobody accepts it: is the box up, and CT1 at {HOST} let in?"
        except OSError as error:
            why = f"; then {error}"
        self._rest = list(left.values())
        count = f"{len(study) - len(left)} of {len(study)} images of patient {self._patient}"
        self._say(f"{count} were acknowledged{why}")

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
