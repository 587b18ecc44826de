"""What is asked about the web page's network port at the screen of the box.

Whoever chooses a wrong one on the way, and so keeps everybody out, mends it here: the screen is
reached whatever the network does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from textual.app import App
from textual.widgets import Input, Label

from edge.console.forms import Form, Question, field_of
from edge.console.view import View
from edge.errors import MachineRefused
from edge.machine.ports import Port

__all__ = ["PagePortForm", "has_choice", "talk_of_page_port"]


def has_choice(view: View) -> bool:
    """Whether there is anything to choose."""
    return len(view.page_ports) > 1 or bool(view.page_by and view.page_ports)


async def talk_of_page_port(
    page: App[Any], view: View, keep: Callable[[str], Awaitable[None]]
) -> None:
    """Ask, and have it done.

    Args:
        page: On which it is asked.
        view: Of the box.
        keep: Has the page be reached by one port alone; empty: by each.

    Raises:
        EdgeError: It was not done.
    """
    found = await page.push_screen_wait(PagePortForm(view.page_by, view.page_ports))
    if not isinstance(found, str) or (found == view.page_by and not view.page_waits):
        return
    await keep(found)
    by = f"by port {found} alone" if found else "by each port"
    text = f"The web page is reached {by} in a moment: once nothing is under way on the box."
    await page.push_screen_wait(Question("It is done", text))


class PagePortForm(Form):
    """The port by which the web page is reached.

    Args:
        port: That holds; empty: each.
        ports: That may be chosen.
    """

    heading = "Web page, by one network port alone"
    go = "Have it so"

    def __init__(self, port: str, ports: Sequence[Port]) -> None:
        super().__init__()
        self._port = port
        self._ports = ports

    def fields(self) -> Iterator[tuple[Label, Input]]:
        """See `Form`."""
        yield field_of("port", "Port", self._port, "empty: by each of them")

    def notes(self) -> str:
        """See `Form`."""
        return "\n".join(map(str, self._ports))

    def typed(self) -> str:
        """See `Form`."""
        port = self.value("port")
        names = [one.name for one in self._ports]
        if port and port not in names:
            raise MachineRefused(
                f"Port: there is no {port}", hint=f"one of {', '.join(names)}; empty: by each"
            )
        return port
