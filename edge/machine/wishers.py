"""Who may wish what of the machine: whose a wish is, its file says, which nobody can give away.

Root and the service's own user may wish all that can be wished. The user that NUT runs as reads
what an UPS says on USB, which is a stranger's: it may say what the battery says, and no more.
Whoever else is let into the folder of wishes may wish nothing.
"""

from __future__ import annotations

import os
import pwd
from typing import Final

from edge.errors import MachineRefused
from edge.machine.wishes import Power, Wish

__all__ = ["check_wisher", "user_of"]

_ALL: Final = frozenset({"root", "edge"})
_SOME: Final[dict[str, tuple[type[Wish], ...]]] = {"nut": (Power,)}


def user_of(uid: int) -> str:
    """The user of a number; ``root`` of whoever carries wishes out, empty of who is unknown."""
    if uid == os.geteuid():
        return "root"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def check_wisher(user: str, wish: Wish) -> None:
    """Do nothing if the wish is for them.

    Raises:
        MachineRefused: It is not.
    """
    if user not in _ALL and not isinstance(wish, _SOME.get(user, ())):
        raise MachineRefused(
            f"{user or 'an unknown user'} may not wish that: {type(wish).__name__}",
            hint="root may, and the user edge, whom the service runs as",
        )
