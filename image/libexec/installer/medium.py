"""What the stick says, and what it is left with: the folder ``EDGE-SETUP`` on its ESP.

Promises that what it says holds for one machine, and that no code or password stays on a stick that
can be written.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import tomllib
from pathlib import Path

from installer import devices, programs, screen
from installer.programs import InstallError

STICK = Path("/efi")
SETUP = STICK / "EDGE-SETUP"
DONE = "install.done.toml"
"""What install.toml is called once it was followed."""
KNOWN = {"disk": str, "then": str, "again": bool, "erase_data": bool}
"""What install.toml may say."""
LONGEST = 64 * 1024
"""Bytes of it."""


def answers() -> dict[str, object]:
    """What the stick says; empty if nothing.

    Raises:
        InstallError: It says something that can't be.
    """
    try:
        with (SETUP / "install.toml").open("rb") as file:
            data = file.read(LONGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InstallError(f"EDGE-SETUP/install.toml can't be read: {error.strerror}") from error
    if len(data) > LONGEST:
        raise InstallError("EDGE-SETUP/install.toml is longer than it can be: it has four lines")
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    try:
        text = data.decode("utf-16" if data.startswith(marks) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InstallError(
            "EDGE-SETUP/install.toml is not text in UTF-8: write it with an editor of plain text"
        ) from error
    try:
        said = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InstallError(f"EDGE-SETUP/install.toml: {error}") from error
    for key, value in said.items():
        allowed = KNOWN.get(key)
        if allowed is None or not isinstance(value, allowed):
            raise InstallError(f"EDGE-SETUP/install.toml: {key} is unknown, or no such value")
    if not said.get("disk"):
        raise InstallError('EDGE-SETUP/install.toml: disk is missing, such as disk = "only"')
    if said.get("then", "reboot") not in ("reboot", "poweroff"):
        raise InstallError('EDGE-SETUP/install.toml: then is "reboot" or "poweroff"')
    return said


def note(stick: str, text: str) -> None:
    """Leave on the stick what happened, as far as it can be written."""
    with contextlib.suppress(InstallError):
        programs.run("umount", "/efi")
    lines = "".join(f"{screen.plain(line)}\n" for line in text.split("\n"))
    try:
        programs.run(
            "mount", "-o", "umask=0077,nosuid,nodev,noexec", devices.parts(stick)["esp"], "/efi"
        )
        SETUP.mkdir(exist_ok=True)
        (SETUP / "install.txt").write_text(lines, encoding="utf-8", errors="replace")
        programs.run("sync", "-f", "/efi")
        programs.run("umount", "/efi")
        devices.settle(f"/dev/{stick}")
    except (InstallError, OSError, LookupError, ValueError):
        pass


def disarm(stick: str) -> bool:
    """Have what the stick says hold for no other machine; whether it could be."""
    try:
        programs.run(
            "mount", "-o", "umask=0077,nosuid,nodev,noexec", devices.parts(stick)["esp"], "/efi"
        )
    except (InstallError, KeyError):
        return False
    try:
        (SETUP / "install.toml").replace(SETUP / DONE)
        programs.run("sync", "-f", "/efi")
    except (InstallError, OSError):
        return False
    finally:
        with contextlib.suppress(InstallError):
            programs.run("umount", "/efi")
    return True


def take_along(stick: str) -> str:
    """Take the settings off the stick, which the machine has by now; what is to be said of that."""
    left = (
        "EDGE-SETUP/edge.toml could not be taken off the stick: the code of the first admin and "
        "passwords stand in it. Delete it, and lock the stick away."
    )
    try:
        programs.run(
            "mount", "-o", "umask=0077,nosuid,nodev,noexec", devices.parts(stick)["esp"], "/efi"
        )
    except (InstallError, KeyError):
        return left
    try:
        file = SETUP / "edge.toml"
        if not file.exists():
            return ""
        with file.open("r+b") as opened:
            opened.write(bytes(file.stat().st_size))
            opened.flush()
            os.fsync(opened.fileno())
        file.unlink()
        programs.run("sync", "-f", "/efi")
    except (InstallError, OSError):
        return left
    finally:
        with contextlib.suppress(InstallError):
            programs.run("umount", "/efi")
    return "EDGE-SETUP/edge.toml went along to the machine, and is gone from the stick."
