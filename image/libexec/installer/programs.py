"""Programs of the system, run by the installer; what ends it without an installation."""

from __future__ import annotations

import subprocess


class InstallError(Exception):
    """Why it was not installed, in words for who stands before it."""


def run(*words: str) -> str:
    """Run a program.

    Returns:
        What it said; what is no UTF-8 of that, such as the name of a disk, is replaced.

    Raises:
        InstallError: It failed, or could not be started.
    """
    try:
        done = subprocess.run(
            words, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
    except OSError as error:
        raise InstallError(f"{words[0]} can't be run: {error.strerror}") from error
    if done.returncode:
        raise InstallError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
