"""Where a browser finds the web page of this box, as the screen and the paper of it say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.addresses import host_and_port, host_name, is_everywhere
from edge.config import Config

__all__ = ["page_address", "page_addresses"]

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
    elif is_everywhere(host):
        host = f"{host_name(config.appliance.name)}.local"
    return _at(host, port, config, firewall) + ("welcome" if is_new else "")


def page_addresses(config: Config, firewall: Path, found: Sequence[str]) -> list[str]:
    """As `page_address` first, then by each address of the machine at which the page is.

    Blocks.

    Args:
        config: Of the box.
        firewall: Likewise.
        found: Addresses of the machine by which the page is reached, where it listens on all.
    """
    host, port = host_and_port(config.http.listen)
    by_number = found if is_everywhere(host) else ()
    others = [_at(one, port, config, firewall) for one in by_number]
    return [page_address(config, firewall, is_new=False), *others]


def _at(host: str, port: int, config: Config, firewall: Path) -> str:
    scheme = "http" if config.http.tls == "off" else "https"
    is_usual = scheme == "https" and (port == _USUAL or _is_led(firewall, port))
    shown = "" if is_usual else f":{port}"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}{shown}/"


def _is_led(firewall: Path, port: int) -> bool:
    try:
        rules = firewall.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False  # there is none of ours
    rule = rf"^\s*tcp dport {_USUAL} redirect to :{port}\s*$"
    return re.search(rule, rules, re.MULTILINE) is not None
