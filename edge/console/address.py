"""Where a browser finds the web page of this box, as the screen shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from edge.addresses import host_and_port, host_name
from edge.config import Config

__all__ = ["page_address"]

_USUAL: Final = 443
"""The port of a browser that was told none."""


def page_address(config: Config, firewall: Path, *, is_new: bool) -> str:
    """By a name that needs no server of names; without its port where a browser needs none.

    Blocks.

    Args:
        config: Of the box.
        firewall: Rules of the machine (nft), which may lead the usual port to that of the box.
        is_new: Nobody can log in yet.
    """
    host, port = host_and_port(config.http.listen)
    if config.http.names:
        host = config.http.names[0]
    elif host in ("0.0.0.0", "::"):  # noqa: S104 - compared with, not listened on
        host = f"{host_name(config.appliance.name)}.local"
    scheme = "http" if config.http.tls == "off" else "https"
    page = "welcome" if is_new else ""
    is_usual = scheme == "https" and (port == _USUAL or _is_led(firewall, port))
    shown = "" if is_usual else f":{port}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{shown}/{page}"


def _is_led(firewall: Path, port: int) -> bool:
    try:
        rules = firewall.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False  # there is none of ours
    rule = rf"^\s*tcp dport {_USUAL} redirect to :{port}\s*$"
    return re.search(rule, rules, re.MULTILINE) is not None
