"""What is wrong with a file that sets a box up: as much of it at once as can be.

Owns what is looked at in the place of what is wrong, so that the rest is looked at, too. Promises
that what follows from a mistake is not told as another one, and that the same is told once. Does no
I/O but for files that the configuration itself names.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from edge.errors import ConfigError, ManyWrong
from edge.settings import Settings

__all__ = ["Faults"]

_T = TypeVar("_T")
_MOST: Final = 20
_LONGEST: Final = 400
"""Characters of one of them."""
_FILE: Final = __file__
"""Of files it is looked only whether they are there."""
_MAPPED: Final = "roles"
"""A table whose keys are anybody's."""
_HOST: Final = "stand-in{}.invalid"
_STAND_INS: Final[dict[str, Any]] = {
    "ae_title": "STANDIN{}",
    "calling": "STANDIN",
    "stations": "STANDIN",
    "may": "store",
    "lab": True,
    "host": _HOST,
    "name": "stand-in {}",
    "url": f"https://{_HOST}",
    "token_url": f"https://{_HOST}",
    "issuer": f"https://{_HOST}",
    "proxy": f"http://{_HOST}:3128",
    "server": f"{_HOST}:6514",
    "names": _HOST,
    "cors_origins": f"https://{_HOST}",
    "tls_listen": "0.0.0.0:2762",
    _MAPPED: {"stand-in": "viewer"},
    "calendar": "mon-fri 08:00-18:00 2000 kbps",
    "prefetch": "CT: 2 within 3 years of CT,MR",
    "prefetch_hours": "mon-fri 19:00-06:00",
    "hours": "mon-fri 01:00-05:00",
    "pin": "modality MG within 2 years",
    **dict.fromkeys(("tls_ca", "tls_certificate", "tls_key", "client_key", "key_file"), _FILE),
    **dict.fromkeys(
        (
            *("user", "password", "token", "client_id", "client_secret", "region"),
            *("access_key_id", "secret_access_key", "proxy_user", "proxy_password"),
        ),
        "stand-in",
    ),
}
"""What is sound, by the names of keys; ``{}`` is a number, where there must not be two the same."""
_TABLES: Final[dict[str, dict[str, str]]] = {
    "peer": {"ae_title": "STANDIN{}"},
    "archive": {"name": "stand-in {}", "url": f"https://{_HOST}", "role": "copy"},
    "source": {"name": "stand-in {}", "kind": "dicom", "ae_title": "STANDIN", "host": _HOST},
    "auth": {},
}
"""The same, by the names of tables."""
_OF_A_KIND: Final = ("auth", "source")
"""Tables of which it is not known what else must stand there while their kind is wrong."""
_ARCHIVES: Final = ("cloud", "archive")


class Faults:
    """Of one file. After each, the file is looked at as if something sound stood there.

    Args:
        where: What the file is called.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._found: dict[str, ConfigError] = {}
        self._replaced = set[tuple[str, ...]]()
        self._of_no_kind = set[tuple[str, ...]]()

    def at(self, key: str) -> bool:
        """Whether there is one at a key, or in it."""
        return any(f"{one}.".startswith(f"{key}.") for one in self._found)

    @contextlib.contextmanager
    def told(self) -> Iterator[None]:
        """Go on behind what is wrong in the block."""
        try:
            yield
        except ConfigError as error:
            self.add(error)

    def add(self, error: ConfigError) -> None:
        """Something is wrong; the first at a key says what, and not what follows."""
        if all(str(error) != str(one) for one in self._found.values()):
            self._found.setdefault(error.key, error)

    def found(self, settings: Settings, cls: type[_T], look: Callable[[_T], None]) -> _T:
        """What a file says, but for what is wrong with it.

        Args:
            settings: The file.
            cls: What it is read as.
            look: Raises for what can't stand in it.

        Raises:
            ConfigError: Too much is wrong.
        """
        while True:
            try:
                made = settings.build(cls)
            except ConfigError as error:
                self.add(error)
                self._replace(settings, error)
                continue
            try:
                look(made)
            except ConfigError as error:
                table = self._followed(error)
                if table is None:
                    self.add(error)
                self._replace(settings, error, table)
            else:
                return made

    def refuse(self) -> None:
        """Do nothing if nothing is wrong.

        Raises:
            ConfigError: Something is; it says where. `ManyWrong`, if it is more than one thing.
        """
        errors = sorted(self._found.values(), key=self._line)
        if len(errors) == 1:
            raise errors[0]
        if errors:
            shown = []
            for one in errors[:_MOST]:
                shown.append(str(one)[:_LONGEST])
                shown += [f"    {one.hint[:_LONGEST]}"] * bool(one.hint)
            count = (
                f"{len(errors)} mistakes" if len(errors) <= _MOST else f"more than {_MOST} mistakes"
            )
            raise ManyWrong([f"{self._where}: has {count}", *shown])

    def _line(self, error: ConfigError) -> int:
        found = re.match(rf"{re.escape(self._where)}:(\d+): ", str(error))
        return int(found[1]) if found else 0

    def _followed(self, error: ConfigError) -> tuple[str, ...] | None:
        """What is wrong there because of something else that is; None: it is a mistake itself."""
        keys = _keys_of(error)
        if _says_role(keys):
            return keys if any(map(_has_role, self._found)) else None
        return next((one for one in self._of_no_kind if keys[: len(one)] == one), None)

    def _replace(
        self, settings: Settings, error: ConfigError, table: tuple[str, ...] | None = None
    ) -> None:
        """Go on as if something sound stood there, or in the table around it, or else nothing."""
        if len(self._found) > _MOST:
            self.refuse()
        keys = _keys_of(error)
        if keys[-1] == "kind" and _name_of(keys[:-1]) in _OF_A_KIND:
            self._of_no_kind.add(keys[:-1])
        place = table or keys
        if place not in self._replaced:
            self._replaced.add(place)
            if _says_role(keys):
                _set_roles(settings)
                return
            value = self._stand_in_for(place)
            if value is not None and settings.stand_in(place, value):
                return
        if not settings.forget(place):
            self.refuse()

    def _stand_in_for(self, keys: tuple[str, ...]) -> Any:
        name = _name_of(keys)
        number = len(self._replaced)
        if keys[-1] == "kind" and _name_of(keys[:-1]) == "source":
            return "dicom"
        if keys[-2:-1] == (_MAPPED,):
            return "viewer"
        table = _TABLES.get(name)
        if table is not None:
            return {key: value.format(number) for key, value in table.items()}
        value = _STAND_INS.get(name)
        return value.format(number) if isinstance(value, str) else value


def _keys_of(error: ConfigError) -> tuple[str, ...]:
    """Where it is; what an identity provider calls a role may have dots in it."""
    keys = error.key.split(".")
    if _MAPPED in keys:
        at = keys.index(_MAPPED) + 1
        keys[at:] = [".".join(keys[at:])] * bool(keys[at:])
    return tuple(keys)


def _name_of(keys: Sequence[str]) -> str:
    """What stands there, whichever of an array it is."""
    return next((key for key in reversed(keys) if not key.isdecimal()), "")


def _says_role(keys: Sequence[str]) -> bool:
    """Whether it says which archive is the primary one."""
    return tuple(keys[:2]) == _ARCHIVES and tuple(keys[3:]) == ("role",)


def _has_role(key: str) -> bool:
    """Whether it is such a role, or an archive that may have it."""
    keys = key.split(".")
    return _says_role(keys) or (tuple(keys[:2]) == _ARCHIVES and len(keys) <= 3)


def _set_roles(settings: Settings) -> None:
    """The first archive is the primary one, and the others are none."""
    for number in itertools.count():
        role = "copy" if number else "primary"
        if not settings.stand_in((*_ARCHIVES, str(number), "role"), role):
            return
