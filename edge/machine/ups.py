"""An UPS on USB is found, and NUT is told of it: nobody writes a file for that; as root.

Owns ``/run/edge-nut``, NUT's configuration as long as the machine runs (``NUT_CONFPATH`` of the
units ``edge-ups*``). What nut-scanner says is read for what is needed of it, and written anew: a
device names itself, and its words are a stranger's. The password between upsd and upsmon, which
both are on this machine, is another one each time. Calls block.

Sources: ups.conf(5), upsd.conf(5), upsd.users(5), upsmon.conf(5), nut-scanner(8).
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
from collections.abc import Mapping
from typing import Final

from edge.crypto.durable import write_file
from edge.errors import MachineRefused
from edge.machine.places import Places
from edge.machine.tools import Tools

__all__ = ["files_for", "find_ups", "found_in"]

_SECTION = re.compile(r"\[[\w.-]+\]")
_SAID = re.compile(r'(driver|port|vendorid|productid|serial)\s*=\s*"?([\w.:/-]{1,64})"?')
_DRIVER = re.compile(r"[a-z][a-z0-9_-]{1,31}")
_NO_USB: Final = "No USB device found"
"""Says nut-scanner as it fails where there is nothing at all on USB, not even a hub."""
_NEEDED: Final = ("driver", "port")


def find_ups(places: Places, tools: Tools) -> bool:
    """Look for one, and tell NUT of it; whether there is one.

    Raises:
        MachineRefused: NUT's programs are not there, or fail.
    """
    try:
        said = tools.run("nut-scanner", "--usb_scan", "--disp_nut_conf", "--quiet")
    except MachineRefused as error:
        if _NO_USB not in str(error):
            raise
        said = ""
    found = found_in(said)
    if found is None:
        return False
    places.nut.mkdir(mode=0o750, parents=True, exist_ok=True)
    files = files_for(found, secrets.token_hex(16))
    for name, text in files.items():
        write_file(places.nut / name, text.encode("ascii"))
    for path in (places.nut, *(places.nut / name for name in files)):
        path.chmod(0o750 if path == places.nut else 0o640)
        with contextlib.suppress(LookupError, PermissionError):
            shutil.chown(path, group="nut")
    return True


def found_in(said: str) -> Mapping[str, str] | None:
    """The first UPS that nut-scanner found: what its driver needs; None if it found none."""
    found: dict[str, str] = {}
    for line in map(str.strip, said.splitlines()):
        if _SECTION.fullmatch(line):
            if _is_whole(found):
                break
            found = {}
        elif pair := _SAID.fullmatch(line):
            found[pair[1]] = pair[2]
    return found if _is_whole(found) else None


def _is_whole(found: Mapping[str, str]) -> bool:
    return all(name in found for name in _NEEDED) and bool(_DRIVER.fullmatch(found["driver"]))


def files_for(found: Mapping[str, str], password: str) -> dict[str, str]:
    """What NUT reads.

    Args:
        found: What the driver needs.
        password: Between its parts.
    """
    flags = {"LOWBATT": "EXEC+SYSLOG", "ONBATT": "EXEC+SYSLOG", "REPLBATT": "EXEC+SYSLOG"}
    flags |= {"COMMBAD": "EXEC+SYSLOG", "NOCOMM": "EXEC+SYSLOG", "SHUTDOWN": "SYSLOG"}
    flags |= {"ONLINE": "EXEC", "COMMOK": "EXEC"}
    return {
        "ups.conf": "\n".join(
            ["[edge]", *(f"  {key} = {value}" for key, value in found.items()), ""]
        ),
        "upsd.conf": "LISTEN 127.0.0.1 3493\n",
        "upsd.users": f"[edge]\n  password = {password}\n  upsmon primary\n",
        "upsmon.conf": "\n".join(
            [
                f"MONITOR edge@localhost 1 edge {password} primary",
                "RUN_AS_USER nut",
                'NOTIFYCMD "/opt/edge/.venv/bin/edge machine ups"',
                'SHUTDOWNCMD "/opt/edge/.venv/bin/edge machine end"',
                *(f"NOTIFYFLAG {kind} {what}" for kind, what in flags.items()),
                "MINSUPPLIES 1",
                "POLLFREQ 5",
                "POLLFREQALERT 2",
                "HOSTSYNC 15",
                "DEADTIME 15",
                "FINALDELAY 0",
                "NOCOMMWARNTIME 600",
                "RBWARNTIME 43200",
                "POWERDOWNFLAG /run/edge-nut/killpower",
                "",
            ]
        ),
    }
