"""The network port that the page is kept to, chosen over the page itself.

Promises that nobody cuts off the branch that they sit on: of the ports, only the one by which who
asks came can be chosen, for by that one the page was just reached. Any other is chosen by coming by
it, or at the screen of the box. That the page is reached by each again may be said by everybody who
may change settings. Calls block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from aiohttp import web

from edge.errors import ConfigError
from edge.machine.page_port import came_by
from edge.machine.ports import Port

__all__ = ["PagePort", "check_page_port", "shown_ports"]

_KEY: Final = "http.interface"


class PagePort(msgspec.Struct, forbid_unknown_fields=True):
    """A network port that the page may be kept to."""

    name: str
    """As the system calls it."""
    mac: str
    has_cable: bool | None
    """None: it is switched off."""
    is_yours: bool
    """Who asks came by it."""


def shown_ports(ports: Callable[[], Sequence[Port]], request: web.Request) -> list[PagePort]:
    """Those that there are.

    Args:
        ports: Looks at them.
        request: Of who asks.
    """
    yours = _came_by(request)
    return [PagePort(one.name, one.mac, one.has_cable, one.name == yours) for one in ports()]


def check_page_port(
    changes: Mapping[str, Any], ports: Callable[[], Sequence[Port]], request: web.Request
) -> None:
    """Do nothing if who asks reaches the page with these changes, too.

    Args:
        changes: Names of settings -> what they shall be.
        ports: Looks at those that there are.
        request: Of who asks.

    Raises:
        ConfigError: They would not, or the machine keeps the page to no port.
    """
    wanted = changes.get(_KEY)
    if not wanted or not isinstance(wanted, str):
        return  # what is no text, the loader refuses
    names = [one.name for one in ports()]
    if not names:
        raise _refused(
            wanted,
            "would keep the page to no port: the firewall of this machine is not the box's",
            "have that done in the machine's own firewall",
        )
    if wanted not in names:
        raise _refused(wanted, "is no network port of this machine", f"it has {', '.join(names)}")
    yours = _came_by(request)
    if yours != wanted:
        by = f"you came by {yours}" if yours else "it is not known by which one you came"
        raise _refused(
            wanted,
            f"would keep you out: {by}",
            f"open the page by {wanted} and choose it there; or choose it at the screen of the"
            " box, by n",
            (yours,) if yours in names else (),
        )


def _came_by(request: web.Request) -> str:
    connection = None if request.transport is None else request.transport.get_extra_info("socket")
    return "" if connection is None else came_by(connection)


def _refused(wanted: str, what: str, hint: str, near: tuple[str, ...] = ()) -> ConfigError:
    error = ConfigError(f'{_KEY} = "{wanted}" {what}', hint=hint)
    error.key, error.what, error.near = _KEY, f'= "{wanted}" {what}', near
    return error
