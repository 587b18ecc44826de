"""What the page on the screen asks: yes or no, network settings, a log-in, the box's name.

Owns the forms and nothing else: each gives back what was typed, or None if somebody left it. What
others said (a server, a disk) is shown as text, never as something to be obeyed: neither by this
library's markup nor by the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label, Static

from edge.crypto.passphrases import LEAST
from edge.errors import MachineRefused, Needs
from edge.machine.disks import Disk
from edge.machine.wishes import Move, NetworkSettings

__all__ = [
    "DiskForm",
    "Form",
    "LogInForm",
    "Question",
    "ResetForm",
    "Typed",
    "UnlockForm",
    "field_of",
    "harmless",
]

_OBEYED: Final = "\N{REPLACEMENT CHARACTER}"
_OF_THE_FONT: Final = str.maketrans(
    {
        "\N{HORIZONTAL ELLIPSIS}": "...",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
    }
)
"""What stands for characters of the web page that the kernel's font of a text console lacks."""
_MOVING: Final[list[BindingType]] = [
    Binding("escape", "leave", "Leave"),
    Binding("up,left", "app.focus_previous", "Back", show=False),
    Binding("down,right", "app.focus_next", "On", show=False),
]
_CHOOSING: Final = (
    f"At least {LEAST} characters: five words that nobody would put together, say.\n"
    "After a restart nothing opens the box without it, but the recovery key: keep it apart."
)
_HELP: Final = "Tab and arrows move, Enter goes on, Esc leaves."


def harmless(text: str) -> str:
    """A text of which a terminal obeys nothing, in characters that a text console has."""
    said = text.translate(_OF_THE_FONT)
    return "".join(one if one.isprintable() or one == "\n" else _OBEYED for one in said)


@dataclass(frozen=True, slots=True)
class Typed:
    """A log-in, as it was typed."""

    name: str
    password: str
    second: str


class Question(ModalScreen[bool]):
    """Yes or no; no if somebody leaves it.

    Args:
        title: What it is about.
        text: More of it.
        yes: What yes does.
        no: What no does; empty: there is nothing to choose.
    """

    AUTO_FOCUS = ""  # yes would have it for a moment
    BINDINGS: ClassVar[list[BindingType]] = _MOVING

    def __init__(self, title: str, text: str, *, yes: str = "OK", no: str = "") -> None:
        super().__init__()
        self._title = title
        self._text = text
        self._yes = yes
        self._no = no

    def compose(self) -> ComposeResult:
        """See textual."""
        with Vertical(classes="form"):
            yield Label(harmless(self._title), classes="heading", markup=False)
            yield Static(harmless(self._text), id="text", markup=False)
            yield from self.more()
            with Horizontal(classes="buttons"):
                yield Button(self._yes, id="yes")
                if self._no:
                    yield Button(self._no, id="no")

    def on_mount(self) -> None:
        """See textual."""
        # Whoever types on without looking changes nothing.
        self.query_one("#no" if self._no else "#yes", Button).focus()

    def more(self) -> ComposeResult:
        """What else there is to see."""
        yield from ()

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_leave(self) -> None:
        """By a key."""
        self.dismiss(False)


class Form(ModalScreen[NetworkSettings | Typed | Move | str | None]):
    """Fields, one below the other, and what is wrong with them."""

    BINDINGS: ClassVar[list[BindingType]] = _MOVING
    heading: str
    go: str

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """What is asked."""
        raise NotImplementedError

    def notes(self) -> str:
        """What stands below the fields; empty: nothing."""
        return ""

    def more(self) -> ComposeResult:
        """What else may be pressed."""
        yield from ()

    def typed(self) -> NetworkSettings | Typed | Move | str:
        """What was typed.

        Raises:
            MachineRefused: It can't be right; the message says why.
        """
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """See textual."""
        with Vertical(classes="form"):
            yield Label(self.heading, classes="heading", markup=False)
            with VerticalScroll(classes="fields", can_focus=False):
                for label, field in self.fields():
                    with Horizontal(classes="field"):
                        yield label
                        yield field
            if notes := self.notes():
                yield Static(harmless(notes), id="notes", markup=False)
            yield Static("", id="wrong", markup=False)
            yield Static(_HELP, id="help", markup=False)
            with Horizontal(classes="buttons"):
                yield Button(self.go, id="go")
                yield Button("Leave", id="leave")
                yield from self.more()

    def value(self, name: str) -> str:
        """Of a field."""
        return self.query_one(f"#{name}", Input).value.strip()

    def values(self, name: str) -> tuple[str, ...]:
        """Of a field that takes several, with blanks or commas between."""
        return tuple(self.value(name).replace(",", " ").split())

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        """The key that ends a line leads to the next field, and behind the last one sends all."""
        fields = list(self.query(Input))
        after = fields[fields.index(event.input) + 1 :]
        if after:
            after[0].focus()
        else:
            self._sent()

    @on(Button.Pressed, "#go")
    def _sent(self) -> None:
        try:
            found = self.typed()
        except MachineRefused as error:
            hint = f"\n{error.hint}" if error.hint else ""
            self.query_one("#wrong", Static).update(harmless(f"{error}{hint}"))
            return
        self.dismiss(found)

    @on(Button.Pressed, "#leave")
    def action_leave(self) -> None:
        """By a key, or the button."""
        self.dismiss(None)


def field_of(
    name: str, label: str, value: str = "", hint: str = "", *, password: bool = False
) -> tuple[Label, Input]:
    """One of a form: what it is called, and where it is typed."""
    field = Input(harmless(value), placeholder=hint, id=name, compact=True, password=password)
    return Label(label, markup=False), field


class LogInForm(Form):
    """A log-in of an admin.

    Args:
        before: What was typed before a code was asked for; None: nothing was.
        wrong: Why it was refused; empty if it was not.
        note: Who can't, or what is asked; empty: nothing is to be said.
    """

    heading = "Log in, as an admin"
    go = "Log in"

    def __init__(self, before: Typed | None = None, wrong: str = "", note: str = "") -> None:
        super().__init__()
        self._note = note
        self._before = before
        self._wrong = wrong

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        if self._before is None:
            yield field_of("name", "Name")
            yield field_of("password", "Password", password=True)
        else:
            yield field_of("second", "Code")

    def notes(self) -> str:
        """See `Form`."""
        return self._note

    def on_mount(self) -> None:
        """See textual."""
        self.query_one("#wrong", Static).update(harmless(self._wrong))

    def typed(self) -> Typed:
        """See `Form`."""
        if self._before is not None:
            return Typed(self._before.name, self._before.password, self.value("second"))
        return Typed(self.value("name"), self.query_one("#password", Input).value, "")


class UnlockForm(Form):
    """What opens a locked box.

    Args:
        needs: What that is.
        wrong: Why the last one did not; empty if there was none.
    """

    heading = "The box is locked"
    go = "Open it"

    def __init__(self, needs: Needs, wrong: str = "") -> None:
        super().__init__()
        self._needs = needs
        if needs is Needs.NEW_PASSPHRASE:
            self.heading, self.go = "Choose the passphrase of the box", "Choose it"
        self._wrong = wrong

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        match self._needs:
            case Needs.RECOVERY_KEY:
                yield field_of("secret", "Recovery key", hint="nine groups of eight characters")
            case Needs.NEW_PASSPHRASE:
                yield field_of("secret", "Passphrase", password=True)
                yield field_of("again", "Once more", password=True)
            case _:
                yield field_of("secret", "Passphrase", password=True)

    def on_mount(self) -> None:
        """See textual."""
        self.query_one("#wrong", Static).update(harmless(self._wrong))

    def notes(self) -> str:
        """See `Form`."""
        return _CHOOSING if self._needs is Needs.NEW_PASSPHRASE else ""

    def typed(self) -> str:
        """See `Form`."""
        secret = self.query_one("#secret", Input).value
        if self._needs is Needs.NEW_PASSPHRASE and secret != self.query_one("#again", Input).value:
            raise MachineRefused("the two are not the same", hint="type it again")
        return secret


class ResetForm(Form):
    """The box's name, typed by who wants all of it destroyed.

    Args:
        name: What the box is called.
        lost: What would be lost by it; empty: nothing.
    """

    heading = "Factory reset: everything on this box is destroyed"
    go = "Destroy everything"

    def __init__(self, name: str, lost: str = "") -> None:
        super().__init__()
        self._name_of_box = name
        self._lost = lost

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        yield field_of("name", "Its name", hint=f"type {harmless(self._name_of_box)}")

    def on_mount(self) -> None:
        """See textual."""
        if self._lost:
            self.query_one("#wrong", Static).update(harmless(self._lost))

    def typed(self) -> str:
        """See `Form`."""
        if harmless(self.value("name")) != harmless(self._name_of_box):  # as it is shown
            raise MachineRefused("that is not its name", hint="nothing was changed")
        return self._name_of_box


class DiskForm(Form):
    """The disk that the data moves to.

    Args:
        disks: Of the machine.
    """

    heading = "Move the data to a bigger disk"
    go = "Copy it there"

    def __init__(self, disks: Sequence[Disk]) -> None:
        super().__init__()
        self._disks = disks

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        yield field_of("disk", "Disk", hint="its name, such as sdb")
        yield field_of("erase", "Not empty?", hint="type erase, and all that is on it goes")

    def on_mount(self) -> None:
        """See textual."""
        lines = [str(disk) for disk in self._disks] or ["this machine has no disks"]
        self.query_one("#wrong", Static).update(harmless("\n".join(lines)))

    def typed(self) -> Move:
        """See `Form`."""
        name = self.value("disk")
        disk = next((one for one in self._disks if one.name == name), None)
        if disk is None:
            names = ", ".join(one.name for one in self._disks if not one.hindrance)
            raise MachineRefused(
                f"there is no disk {name}", hint=names and f"it can move to {names}"
            )
        if disk.hindrance:
            raise MachineRefused(f"{disk.known} can't take the data over: {disk.hindrance}")
        is_erased = self.value("erase") == "erase"
        if disk.holds and not disk.role and not is_erased:
            raise MachineRefused(f"{disk}", hint="type erase, if all that is on it may go")
        return Move(disk.name, disk.seen, erase=is_erased)
