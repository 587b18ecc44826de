"""``edge key seal-credential``: the secret that systemd hands to the service, made and sealed.

It goes to ``systemd-creds`` by a pipe and is written down nowhere else, so that nobody but this
machine's systemd can read it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

from edge.commands.parsing import Acts, configuration
from edge.commands.words import say
from edge.errors import EdgeError

__all__ = ["add_credential"]

_KINDS = ("auto", "host", "tpm2", "host+tpm2")
_FOLDER = Path("/etc/edge")


def add_credential(acts: Acts) -> None:
    """Add it."""
    text = "Make the credential that keys.provider = systemd-creds needs; as root, once."
    act = acts.add("seal-credential", text, _seal)
    act.add_argument(
        "--to", type=Path, metavar="FILE", help=f"where it goes (default: {_FOLDER}/NAME)"
    )
    act.add_argument(
        "--with-key",
        choices=_KINDS,
        default="auto",
        help="what it is bound to (default: the TPM, where there is one)",
    )


async def _seal(options: argparse.Namespace) -> int:
    loaded = await configuration(options)
    name = loaded.keys.credential
    path = _FOLDER / name if options.to is None else options.to
    await asyncio.to_thread(_make, path, name, options.with_key)
    say(
        f"edge: {path} is made; the unit of the service needs, in its [Service],",
        f"LoadCredentialEncrypted={name}:{path.absolute()}",
        "      then make a recovery key: who loses this machine has lost what opens its box",
        file=sys.stderr,
    )
    return 0


def _make(path: Path, name: str, kind: str) -> None:
    tool = shutil.which("systemd-creds")
    if tool is None:
        raise EdgeError("there is no systemd-creds here", hint="it needs systemd 250 or later")
    if path.exists():
        raise EdgeError(
            f"{path} is there already: another one would not open what that one does",
            hint="nothing was changed; move it away if it is of no use",
        )
    if not path.parent.is_dir():
        raise EdgeError(
            f"there is no folder {path.parent}",
            hint=f"make it: mkdir {path.parent}; or name another file with --to",
        )
    secret = base64.b64encode(os.urandom(32))
    command = [tool, "encrypt", f"--name={name}", f"--with-key={kind}", "-", str(path)]
    done = subprocess.run(command, input=secret, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        path.unlink(missing_ok=True)
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it does not say why"]
        raise EdgeError(
            f"systemd-creds could not seal it: {said[-1]}",
            hint="run this as root, on the machine that shall open it",
        )
