"""Under which names the service may be called (RFC 9110 7.2).

Owns what the box takes for its own name. It is the defence against DNS rebinding: a stranger's page
can have a name of its own lead to the box, and a browser then takes the box for that page's own
server. An address can't be made to lead anywhere else, nor can the box's own names. Who is asked
for that, and when, stands in `origins`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Iterable

__all__ = ["OwnNames"]

_PORT = re.compile(r":[0-9]*$")


class OwnNames:
    """The names of the box; its addresses, whichever they are, and ``localhost`` count with them.

    Args:
        names: As they are configured.
        certified: Further ones, as of now: those in the clinic's own certificate, which may be for
            all hosts of a domain (``*.clinic.example``).
    """

    def __init__(
        self, names: Iterable[str], certified: Callable[[], Collection[str]] = tuple
    ) -> None:
        self._names = {name.lower().rstrip(".") for name in names} | {"localhost"}
        self._certified = certified

    def has(self, host: str) -> bool:
        """Whether the box is called so.

        Args:
            host: The value of ``Host``, or host and port of an origin.
        """
        name = _PORT.sub("", host).lower().rstrip(".")
        return name in self._names or _is_address(name) or self._is_certified(name)

    def _is_certified(self, name: str) -> bool:
        known = {one.lower() for one in self._certified()}
        _, dot, domain = name.partition(".")
        return name in known or (bool(dot) and f"*.{domain}" in known)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
