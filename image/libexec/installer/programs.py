"""Programs of the system, run by the installer; what ends it without an installation."""

from __future__ import annotations

import subprocess


class InstallError(Exception):
    """Why it was not installed, in words for who stands before it."""


def run(*words: str) -> str:
    """Run a program.

    Raises:
        InstallError: It failed.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InstallError(f"{words[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
