"""What is asked about the network at the screen of the box: settings, tried before they are kept.

Owns the form and the trial, in which who tries sees what another computer needs to see whether it
works: the addresses that the box has now, its page, and the seconds that are left. Promises that
nothing is kept by a key that was pressed before somebody could have read what it would do.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

from textual import on
from textual.app import App, ComposeResult
from textual.widgets import Button, Input, Label, Static

from edge.console.forms import Form, Question, field_of, harmless
from edge.console.page_port import has_choice, talk_of_page_port
from edge.console.view import View
from edge.errors import MachineRefused, Needs
from edge.machine.networks import TRIED_SECONDS
from edge.machine.ports import Port
from edge.machine.wishes import Back, Keep, Network, NetworkSettings, Wish, checked_network

__all__ = ["NetworkForm", "Trial", "talk_of_network"]

_DEAF_SECONDS: Final = 1.0
_LABELS: Final = {
    "address": "Address",
    "gateway": "Gateway",
    "dns": "Name servers",
    "domains": "Domains",
    "ntp": "Time servers",
    "interface": "Port",
    "vlan": "VLAN",
}
"""Of the settings, on the form and in what is said to be wrong with them."""
_MOST_PORTS: Final = 4
"""Lines of them: more have no room on the smallest screen."""
_PAGE: Final = "page"
"""Its port is to be chosen, and nothing of the network."""


async def talk_of_network(
    page: App[Any],
    now: Callable[[], View | None],
    wish: Callable[[Wish], Awaitable[bool]],
    keep_page: Callable[[str], Awaitable[None]],
) -> None:
    """Ask, and have it done.

    Args:
        page: On which it is asked.
        now: The box, as it was seen last.
        wish: Has the machine do something; whether it did.
        keep_page: Has the web page be reached by one port alone; empty: by each.

    Raises:
        EdgeError: The last was not done.
    """
    view = now()
    if view is None:
        return
    asks_page = has_choice(view) and view.needs is not Needs.SERVER
    form = NetworkForm(view.network.kept, view.ports, asks_page=asks_page)
    found = await page.push_screen_wait(form)
    if found == _PAGE:
        await talk_of_page_port(page, view, keep_page)
    if not isinstance(found, NetworkSettings) or not await wish(Network(found)):
        return
    trial = Trial(now, int(TRIED_SECONDS) - 5)
    if await page.push_screen_wait(trial):
        await wish(Keep())
    elif await wish(Back()) and trial.is_over:
        text = "Nobody kept the new settings in time: those of before hold again."
        await page.push_screen_wait(Question("The network went back", text))


class NetworkForm(Form):
    """Network settings.

    Args:
        settings: Those that hold.
        ports: That the machine has.
        asks_page: The port of the web page may be chosen, too.
    """

    heading = "Network"
    go = "Try them for two minutes"

    def __init__(
        self, settings: NetworkSettings, ports: Sequence[Port] = (), *, asks_page: bool = False
    ) -> None:
        super().__init__()
        self._settings = settings
        self._ports = ports
        self._asks_page = asks_page

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        now = self._settings
        hints = {
            "address": "empty: by DHCP. Else such as 192.168.1.10/24",
            "gateway": "such as 192.168.1.1",
            "dns": "empty: those of DHCP",
            "domains": "such as clinic.example",
            "ntp": "empty: those of DHCP",
            "interface": "empty: all of them. A VLAN needs one",
            "vlan": "empty: none. Else 1 to 4094",
        }
        for name, label in _LABELS.items():
            value = getattr(now, name)
            text = " ".join(value) if isinstance(value, tuple) else str(value or "")
            yield field_of(name, label, text, hints[name])

    def more(self) -> ComposeResult:
        """See `Form`."""
        if self._asks_page:
            yield Button("Web page by ...", id="page")

    @on(Button.Pressed, "#page")
    def _goes_on(self) -> None:
        self.dismiss(_PAGE)

    def notes(self) -> str:
        """See `Form`."""
        lines = [f"Ports: {one}" if not at else f"       {one}" for at, one in self._shown_ports()]
        return "\n".join(lines) or "Ports: none is known"

    def _shown_ports(self) -> Iterator[tuple[int, str]]:
        for at, port in enumerate(self._ports):
            if at == _MOST_PORTS - 1 and len(self._ports) > _MOST_PORTS:
                yield at, "and " + ", ".join(one.name for one in self._ports[at:])
                return
            yield at, str(port)

    def typed(self) -> NetworkSettings:
        """See `Form`."""
        vlan = self.value("vlan") or "0"
        if not (vlan.isascii() and vlan.isdigit() and len(vlan) < 6):
            raise MachineRefused(f"VLAN: {vlan!r} is no number", hint="1 to 4094; empty means none")
        port = self.value("interface")
        if int(vlan) and not port:
            names = ", ".join(one.name for one in self._ports)
            raise MachineRefused(
                "VLAN: it is not said on which port",
                hint=f"fill in Port: {names}" if names else "fill in Port",
            )
        try:
            return checked_network(
                NetworkSettings(
                    interface=port,
                    address=self.values("address"),
                    gateway=self.values("gateway"),
                    dns=self.values("dns"),
                    domains=self.values("domains"),
                    vlan=int(vlan),
                    ntp=self.values("ntp"),
                )
            )
        except MachineRefused as error:
            name, colon, rest = str(error).partition(":")
            raise MachineRefused(
                f"{_LABELS.get(name, name)}{colon}{rest}", hint=error.hint
            ) from error


class Trial(Question):
    """Whether settings that are tried are to be kept; no if nobody says so in time.

    Args:
        now: The box, as it was seen last.
        seconds: The time.
    """

    def __init__(self, now: Callable[[], View | None], seconds: int) -> None:
        super().__init__(
            "The new settings hold. Do they work?",
            "Open the page from another computer. What nobody keeps goes back.",
            yes="Keep them",
            no="Go back",
        )
        self._now = now
        self._until = time.monotonic() + seconds
        self._hears = time.monotonic() + _DEAF_SECONDS
        self.is_over = False
        """The time is."""

    @property
    def is_deaf(self) -> bool:
        """A key that comes now was meant for what stood there before."""
        return time.monotonic() < self._hears

    def more(self) -> ComposeResult:
        """See `Question`."""
        yield Static(self._seen(), id="seen", markup=False)
        yield Static(self._time(), id="left", markup=False)

    def on_mount(self) -> None:
        """See textual."""
        super().on_mount()
        self._hears = time.monotonic() + _DEAF_SECONDS
        self.set_interval(0.5, self._count)

    def _count(self) -> None:
        if time.monotonic() >= self._until:
            self.is_over = True
            self.dismiss(False)
            return
        self.query_one("#seen", Static).update(self._seen())
        self.query_one("#left", Static).update(self._time())

    def _seen(self) -> str:
        view = self._now()
        addresses = ", ".join(view.addresses) if view is not None else ""
        page = view.address if view is not None else ""
        none = "none yet. By DHCP it takes a moment; else look at the cable"
        return harmless(f"Addresses now  {addresses or none}\nWeb page       {page}")

    def _time(self) -> str:
        return f"It goes back by itself in {max(0, round(self._until - time.monotonic()))} s."
