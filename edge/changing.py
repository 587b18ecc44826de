"""What of the configuration may be changed while the box is in a clinic, and by whom.

How a box is set up without anybody who edits files:

- **Where.** The file that ``--config`` names, ``/etc/edge/edge.toml``, belongs to whoever
  administers the machine, and the service can't write it. What the page sets stands in a file of
  the box's own, ``data_dir/settings.toml``, below that file: where both say something, ``/etc``
  and the environment win, and the page shows the value as fixed, with the line that fixes it. An
  array, such as the archives, is one value: it is fixed as a whole, or the box's own as a whole.
- **Checked by the one loader.** Before anything is written, ``loading.layered`` reads the whole
  configuration as it would be; what it refuses is refused, in its words, with the key.
- **Secrets.** They come in the clear over the API, are sealed for this box (``edge secret seal``)
  before they touch the disk, and never go out again: a secret that is set shows as ``true``, and
  who sends ``true`` back keeps it. One that is kept stays with the address that it was made for:
  nobody sends the archive's password to a server of their own by changing the url alone.
- **No patient in the clear.** The box's own file is not sealed: a rule of ``cache.pin`` that names
  a study or a patient is refused here; what is pinned on its page, or by ``edge pin``, is sealed.
- **From afar, not everything.** What guards the box itself (its keys, who may log in with what, who
  may break the glass, the audit, whether it is a laboratory, and any file of the machine) is said
  on the machine alone; ``edge config set`` does that. The secrets with which the box goes to its
  identity provider can be given anew: one that can't be opened any more (`edge.cache.lost_secrets`)
  would else be mended by a factory reset alone where the machine has no shell. Who that provider
  is, and what it is believed, stays.
- **In force by an orderly new start** of the service's parts, in the same process and with the keys
  at hand: associations that are under way end first. A configuration with which the service does
  not start (an address that is not this machine's, say) is taken back, the former one holds again,
  and the page says so: nobody locks himself out by a typing error. So the former file stays beside
  the new one until the service runs with that (``settings.toml.former``).
- **Told.** Every change is in the audit, with what was and what is, without secrets.

This module is the table of settings and the rules above for single values; it reads and writes no
file (`edge.cache.own_settings` does).
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from edge.authorities import AuthorityError, given
from edge.config import Config
from edge.errors import ConfigError
from edge.rules import pin_of
from edge.week import RuleError

__all__ = [
    "Kind",
    "Setting",
    "accepted",
    "all_settings",
    "as_shown",
    "setting_of",
    "shown_of",
    "value_of",
]

Kind = Literal["text", "number", "count", "switch", "choice", "texts", "choices", "tables", "other"]

_REMOTE: Final = frozenset(
    """
    appliance.name appliance.time_zone page.language http.names http.interface
    dimse.listen dimse.ae_title dimse.unknown_peers dimse.max_associations dimse.idle_seconds
    dimse.commit_after dimse.commit_grace_seconds dimse.commit_days dimse.commit_report_days
    access.idle_minutes access.session_hours access.link_days
    access.oidc.client_secret access.oidc.proxy_password
    cache.max_bytes cache.reserve_bytes cache.keep_days cache.pin
    cloud.archive backup.archive worklist.source worklist.keep_days
    procedures.quiet_seconds procedures.wait_hours
    sync.sweep_minutes sync.feed_seconds sync.verify sync.batch_bytes sync.uploads_in_flight
    sync.preview_first sync.retry_min_seconds sync.retry_max_seconds sync.failover_minutes
    sync.calendar sync.max_upload_kbps sync.max_download_kbps sync.monthly_budget_mb
    sync.budget_day sync.trash_days sync.prefetch sync.prefetch_hours sync.absent
    sync.reverify_days update.url update.proxy_password update.by_itself update.hours
    """.split()
)
_NEVER: Final = frozenset({"appliance.data_dir", "update.keys"})
_NEVER_SECTIONS: Final = ("keys.",)
_NAMES: Final = ("name", "ae_title")
"""By which a table of an array is known again."""
_AUTHORITY: Final = "authority"
_ADDRESSES: Final = ("url", "token_url", "proxy", "host", "kind", _AUTHORITY)
"""Where a secret goes to, or how, or who is believed to be that: who changes one of these says the
secret again."""
_PINS: Final = "cache.pin"
_LISTENS: Final = "dimse.listen"
_NO_PORT: Final = re.compile(r".*:\s*0+\s*")
_REQUIRED: Final = dataclasses.MISSING


@dataclass(frozen=True, slots=True)
class Setting:
    """One that can be said."""

    key: str
    """With dots."""
    kind: Kind
    default: Any
    choices: tuple[str, ...] = ()
    is_remote: bool = False
    """An admin may change it over the network."""
    is_secret: bool = False
    """It shows in no repr (`edge.crypto.secrets`): nobody is told more than that there is one."""
    hint: Any = None
    """Its type."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of its name."""
        return tuple(self.key.split("."))


@cache
def all_settings() -> Mapping[str, Setting]:
    """Every one that may be in the box's own file, by its name, in the order of the dataclasses."""
    return {
        one.key: one
        for one in _walk(Config, ())
        if one.key not in _NEVER and not one.key.startswith(_NEVER_SECTIONS)
    }


def setting_of(key: str) -> Setting:
    """The one of that name.

    Raises:
        ConfigError: There is none.
    """
    found = all_settings().get(key)
    if found is None:
        if key in _NEVER or key.startswith(_NEVER_SECTIONS):
            error = ConfigError(
                f"{key} can't be set here", hint="it is said in the file of the machine"
            )
        else:
            section = key.rpartition(".")[0]
            there = ", ".join(one for one in all_settings() if one.startswith(f"{section}."))
            error = ConfigError(
                f"{key} is not a known key", hint=f"there are: {there}" if there else ""
            )
        error.key = key
        raise error
    return found


def value_of(config: Config, setting: Setting) -> Any:
    """What a configuration has there."""
    found: Any = config
    for key in setting.keys:
        found = getattr(found, key)
    return found


def shown_of(config: Config, setting: Setting) -> Any:
    """The same as anybody may see it, see `as_shown`; of a secret, whether there is one."""
    value = value_of(config, setting)
    return bool(value) if setting.is_secret else as_shown(value)


def as_shown(value: Any) -> Any:
    """A value as JSON can say it and anybody may see it: of a secret, that there is one.

    Of a table in an array, what is as it is by default is left out.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = {}
        for item in dataclasses.fields(value):
            inner = getattr(value, item.name)
            if item.default is not _REQUIRED and inner == item.default:
                continue
            shown[item.name] = as_shown(inner) if item.repr else True
        return shown
    if isinstance(value, tuple | list):
        return [as_shown(one) for one in value]
    if isinstance(value, Path):
        return "" if value == Path() else str(value)
    if isinstance(value, Mapping):
        return dict(value)
    return value


def accepted(
    setting: Setting,
    value: Any,
    before: Any,
    *,
    seal: Callable[[str], str],
    is_remote: bool,
) -> Any:
    """A value as it may be written, its secrets sealed.

    Args:
        setting: Whose.
        value: As it came; whether it fits is the loader's to say.
        before: What the configuration has there now.
        seal: Seals a secret.
        is_remote: It came over the network.

    Raises:
        ConfigError: It may not be said so.
    """
    if is_remote and not setting.is_remote:
        raise _refused(
            setting.key, "is said on the machine alone", f"edge config set {setting.key}"
        )
    if is_remote and setting.key == _LISTENS and _NO_PORT.fullmatch(str(value)):
        raise _refused(
            setting.key,
            "names no port: devices would not know where to call",
            "say the port that they are set to, such as 0.0.0.0:104",
        )
    if setting.key == _PINS and isinstance(value, list):
        for number, rule in enumerate(value):
            _check_pin(f"{setting.key}.{number}", rule)
    accepting = _Accepting(seal, is_remote=is_remote)
    if setting.is_secret:
        return accepting.secret(value, before, setting.key, is_moved=False)
    return accepting.value(setting.hint, value, before, setting.key)


@dataclass(frozen=True, slots=True)
class _Accepting:
    seal: Callable[[str], str]
    is_remote: bool

    def value(self, hint: Any, value: Any, before: Any, where: str) -> Any:
        if value is None:
            raise _refused(where, "is null", "leave it out")
        if typing.get_origin(hint) is tuple and isinstance(value, list):
            inner = typing.get_args(hint)[0]
            known = {_name(one): one for one in before or ()}
            return [
                self.value(inner, one, known.get(_name(one)), f"{where}.{number}")
                for number, one in enumerate(value)
            ]
        if dataclasses.is_dataclass(hint) and isinstance(value, dict):
            return self._table(hint, value, before, where)
        if hint is Path and self.is_remote and value not in ("", as_shown(before)):
            raise _refused(
                where, "names a file of the machine", "that is said there: edge config set"
            )
        return value

    def _table(self, cls: Any, value: dict[str, Any], before: Any, where: str) -> dict[str, Any]:
        hints = typing.get_type_hints(cls)
        items = {item.name: item for item in dataclasses.fields(cls)}
        if _AUTHORITY in items and isinstance(said := value.get(_AUTHORITY), str):
            kept = getattr(before, _AUTHORITY, "")
            value = value | {_AUTHORITY: _authority(said, kept, f"{where}.{_AUTHORITY}")}
        is_moved = before is None or any(
            name in items and value.get(name, _default(items[name])) != getattr(before, name)
            for name in _ADDRESSES
        )
        made = {}
        for name, said in value.items():
            inner, place = getattr(before, name, None), f"{where}.{name}"
            if name not in items or items[name].repr:
                # What is not known, the loader refuses.
                if is_moved and name == "auth":
                    self._keep_files_where_they_are(said, inner, place)
                    inner = None
                made[name] = self.value(hints[name], said, inner, place) if name in items else said
            elif (secret := self.secret(said, inner, place, is_moved=is_moved)) != "":
                made[name] = secret
        return made

    def _keep_files_where_they_are(self, said: Any, before: Any, where: str) -> None:
        """A file of the machine is not used elsewhere from afar: nobody here could say it again."""
        if not self.is_remote or before is None or not isinstance(said, dict):
            return
        for name, kept in said.items():
            found = getattr(before, name, None)
            if isinstance(found, Path) and found != Path() and kept == as_shown(found):
                raise _refused(
                    f"{where}.{name}",
                    "is a file of the machine: it is used for the name, address, proxy and"
                    " authority that it was said for, and no others",
                    "have the archive changed on the machine: edge config set",
                )

    def secret(self, said: Any, before: Any, where: str, *, is_moved: bool) -> Any:
        if said is True:
            if before and not is_moved:
                return before
            moved = "must be said again: it was for another name, address, proxy or authority"
            raise _refused(where, moved if is_moved else "is not known", "type the secret")
        if not isinstance(said, str) or said == "":
            return said
        if not self.is_remote and said.startswith(("sealed:", "file:")):
            return said
        return self.seal(said)


def _authority(said: str, before: str, where: str) -> str:
    """Who is to be believed, as it is kept; one that stays may have ended meanwhile."""
    if not said.strip() or said.split() == before.split():
        return before if said.strip() else ""
    try:
        return given(said)
    except AuthorityError as error:
        raise _refused(where, str(error), error.hint) from error


def _check_pin(where: str, rule: Any) -> None:
    try:
        said = pin_of(rule) if isinstance(rule, str) else None
    except RuleError:
        return  # the loader says what is wrong with it
    if said is not None and (said.patient_id or said.study_uid):
        raise _refused(
            where,
            "names a study or a patient, and settings are not sealed",
            "pin it on its page, or by edge pin: that is sealed",
        )


def _refused(where: str, what: str, hint: str) -> ConfigError:
    error = ConfigError(f"{where} {what}", hint=hint)
    error.key, error.what = where, what
    return error


def _name(one: Any) -> Any:
    for name in _NAMES:
        found = one.get(name) if isinstance(one, dict) else getattr(one, name, None)
        if isinstance(found, str):
            return found
    return None


def _default(item: dataclasses.Field[Any]) -> Any:
    return "" if item.default is _REQUIRED else item.default


def _walk(cls: Any, keys: tuple[str, ...]) -> Iterator[Setting]:
    hints = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        hint, inside = hints[item.name], (*keys, item.name)
        if dataclasses.is_dataclass(hint):
            yield from _walk(hint, inside)
            continue
        key = ".".join(inside)
        made = item.default_factory
        default = item.default if made is dataclasses.MISSING else made()
        kind, choices = _kind(hint)
        is_secret = not item.repr
        shown = bool(default) if is_secret else as_shown(default)
        yield Setting(key, kind, shown, choices, key in _REMOTE, is_secret, hint)


def _kind(hint: Any) -> tuple[Kind, tuple[str, ...]]:
    plain: dict[Any, Kind] = {str: "text", int: "count", float: "number", bool: "switch"}
    if hint in plain:
        return plain[hint], ()
    if typing.get_origin(hint) is Literal:
        return "choice", typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if dataclasses.is_dataclass(inner):
            return "tables", ()
        if typing.get_origin(inner) is Literal:
            return "choices", typing.get_args(inner)
        return "texts", ()
    return "other", ()
