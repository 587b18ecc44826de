"""A bundle for whoever helps from afar: how the box is set up, how it is, and what it said lately.

Owns what is in it, and what is not. Promises that no secret of the configuration, no name and no ID
of a patient is in it, and no UID of an instance: references stand there, as in the log
(`edge.logs`). What names devices, people of the box and addresses of its network stays: without
them nobody can help, and ``README.txt`` in the bundle says so to who gives it away.
"""

from __future__ import annotations

import dataclasses
import io
import json
import platform
import re
import sqlite3
import ssl
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from edge import __version__
from edge.addresses import host_name
from edge.config import Config
from edge.logs import Line, without_uids
from edge.rules import pin_of

__all__ = ["bundle", "name_of", "plain_config"]

_README: Final = """\
What an edge cache says of itself, for whoever helps with it.

config.json     how it is set up; secrets stand there as ***
status.json     how it is
doctor.json     what went wrong with DICOM devices, and what to change
versions.json   which programs it is made of
log.txt         what it said lately

No name and no ID of a patient is in here, and no UID of an image: "uid:" and ten digits stand in
its place, and edge log find on the box itself tells what that is. Names and addresses of devices,
and log-in names of people who work with the box, are in here: give it to nobody else.
"""
_HIDDEN: Final = "***"
_LOGIN: Final = re.compile(r"(?<=://)[^/@\s]*@")
"""Who logs in, and with what, in an address (RFC 3986 3.2.1)."""


def plain_config(value: Any) -> Any:
    """A configuration as JSON can hold it, without what is secret or names a patient."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            one.name: _field(one, getattr(value, one.name)) for one in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): plain_config(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain_config(one) for one in value]
    if isinstance(value, str):
        return _LOGIN.sub(f"{_HIDDEN}@", value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _field(one: dataclasses.Field[Any], value: Any) -> Any:
    if one.name == "pin":  # rules as they are written: some name a patient
        return [_pin(rule) for rule in value]
    return _HIDDEN if value and not one.repr else plain_config(value)


def _pin(rule: str) -> str:
    said = pin_of(rule)
    if said.patient_id:
        return f"patient {_HIDDEN}"
    return f"study {_HIDDEN}" if said.study_uid else rule


def name_of(config: Config, now: float) -> str:
    """What the file is called: no other box's, and in order of time."""
    box = host_name(config.appliance.name)
    return f"{box}-support-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(now))}.zip"


def bundle(
    config: Config,
    status: Mapping[str, Any],
    findings: bytes,
    lines: Sequence[Line],
    refer: Callable[[str], str] | None,
    now: float,
) -> bytes:
    """The bundle, a ZIP file. Blocks.

    Args:
        config: As it was read.
        status: `edge.cache.status.Status.as_json`.
        findings: What the association doctor says, as JSON.
        lines: Of the log.
        refer: UID -> its reference.
        now: POSIX seconds.
    """
    files = {
        "README.txt": _README,
        "config.json": _json(plain_config(config)),
        "status.json": _json(status),
        "doctor.json": _json(json.loads(findings)),
        "versions.json": _json(_versions()),
        "log.txt": "".join(map(_line, lines)) or "Nothing: the service does not run.\n",
    }
    out, at = io.BytesIO(), time.gmtime(now)
    moment = at.tm_year, at.tm_mon, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            info = zipfile.ZipInfo(name, moment)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
            archive.writestr(info, without_uids(text, refer).encode("utf-8", "replace"))
    return out.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n"


def _line(line: Line) -> str:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.at))
    # Words of strangers: a line end in them begins no line, and nothing in them obeys a terminal.
    shown = "\n    ".join(
        "".join(char if char.isprintable() else "·" for char in one)
        for one in line.text.split("\n")
    )
    return f"{at} {line.level} {line.name}: {shown}\n"


def _versions() -> dict[str, Any]:
    uptime = Path("/proc/uptime")
    return {
        "edge": __version__,
        "python": sys.version,
        "system": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "uptime_seconds": float(uptime.read_text().split()[0]) if uptime.exists() else None,
        "packages": {
            one.metadata["Name"]: one.version
            for one in sorted(metadata.distributions(), key=lambda it: it.metadata["Name"].lower())
        },
    }
