"""``edge tls``: which certificates the box shows, and having them loaded anew."""

# ruff: noqa: PLC0415 - see `edge.commands.parsing`

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.parsing import Acts, Commands, configuration
from edge.commands.words import moment, say
from edge.errors import ConfigError, EdgeError, SecretError

if TYPE_CHECKING:
    from edge.config import Config

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command."""
    acts = Acts(commands.add("tls", "Show certificates, and have them loaded anew."))
    show = acts.add("show", "Say what is shown to browsers, and until when.", _show)
    show.add_argument("--json", action="store_true", help="for programs")
    acts.add("ca", "Print the certificate of the box's own authority (PEM).", _ca)
    acts.add("reload", "Have the service take what is in the files now.", _reload)
    renew = acts.add("renew", "Have the box's own certificate made anew.", _renew)
    renew.add_argument(
        "--authority",
        action="store_true",
        help="the authority, too: every computer must be told anew whom to trust",
    )


def _folder(loaded: Config) -> Path:
    return loaded.appliance.data_dir / "tls"


async def _show(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.access.tls import shown

    found = await asyncio.to_thread(shown, loaded.http, _folder(loaded))
    passing = await asyncio.to_thread(_while_locked, loaded)
    if passing and (found is None or found.fingerprints.server != passing):
        if options.json:
            say(json.dumps({**({} if found is None else found.as_json()), "while_locked": passing}))
            return 0
        say("the box is locked: its page is shown with another one, made at this start")
        say(f"now          SHA-256 {passing}")
        if found is None:
            return 0
    if found is None:
        raise EdgeError(
            "there is no certificate: plain HTTP is spoken, or the service was never started"
        )
    if options.json:
        say(json.dumps(found.as_json()))
        return 0
    say(f"certificate  SHA-256 {found.fingerprints.server}")
    say(f"  for        {', '.join(found.names)}")
    say(f"  until      {moment(found.until)}")
    if found.fingerprints.authority:
        say(f"authority    SHA-256 {found.fingerprints.authority}")
        say("  get it     edge tls ca, or /ca.crt of the box; then compare the fingerprint")
    for one in found.former:
        say(f"former name  SHA-256 {one.server}")
        if one.authority not in ("", found.fingerprints.authority):
            say(f"  authority  SHA-256 {one.authority}")
        say(f"  for        {', '.join(one.names)}, and who calls by an address")
        say(f"  until      {moment(one.until)}")
    return 0


def _while_locked(loaded: Config) -> str:
    """The fingerprint of what a locked box shows; empty if it is open, or does not run. Blocks."""
    from edge.admin.local_keys import state_of_service

    try:
        waiting = state_of_service(loaded.appliance.data_dir)
    except (OSError, SecretError):
        return ""
    return "" if waiting is None else waiting.certificate


async def _ca(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    path = _own(loaded) / "ca.crt"
    try:
        pem = await asyncio.to_thread(path.read_text, "ascii")
    except OSError as error:
        raise EdgeError(
            f"{path} can't be read: {error.strerror}",
            hint="the first start of the service makes it",
        ) from error
    say(*pem.splitlines())
    return 0


async def _reload(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    from edge.admin.local import ask_service

    if await ask_service(loaded.appliance.data_dir, "certificates") is None:
        say("edge: the service is not running; it loads them when it starts", file=sys.stderr)
        return 1
    say("edge: certificates were loaded anew", file=sys.stderr)
    return 0


async def _renew(options: argparse.Namespace) -> int:
    """Files are taken away, and whoever loads the next makes what is missing."""
    loaded = await configuration(options)
    from edge.access.authority import AUTHORITY, SERVER
    from edge.access.former import former_files
    from edge.admin.local import ask_service, refuse_if_locked

    await asyncio.to_thread(refuse_if_locked, loaded.appliance.data_dir)
    names = [AUTHORITY, SERVER] if options.authority else [SERVER]
    folder = _own(loaded)
    # What was shown before is not to be shown any more, not even by a former name.
    former = [path for _, path in await asyncio.to_thread(former_files, folder)]
    for path in (*(folder / name for name in names), *former):
        await asyncio.to_thread(path.unlink, missing_ok=True)
    if await ask_service(loaded.appliance.data_dir, "certificates") is None:
        say("edge: it is made when the service starts", file=sys.stderr)
        return 0
    return await _show(argparse.Namespace(**{**vars(options), "json": False}))


def _own(loaded: Config) -> Path:
    """The folder of the box's own certificates, if it shows them."""
    dimse, http = loaded.dimse, loaded.http
    if http.tls != "auto" and not (dimse.tls_listen and dimse.tls_certificate == Path()):
        raise ConfigError(
            "the box shows no certificate of its own",
            hint='http.tls = "auto" makes it; one of yours is loaded anew by edge tls reload',
        )
    return _folder(loaded)
