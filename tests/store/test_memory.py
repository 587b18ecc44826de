"""Pieces of images pass through memory that is there already."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PIECES = """
import resource
from edge.store.memory import keep_freed_memory
if {keeps}:
    keep_freed_memory()
def pass_on():
    sealed = bytearray(1024 * 1024)
    opened = bytes(sealed)
    return opened[100:]
pass_on()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    pass_on()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 100)
"""


def faults(*, keeps):
    """Page faults for each piece, in a process of its own."""
    code = PIECES.format(keeps=keeps)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    return float(found.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="about glibc's malloc")
def test_a_piece_takes_the_memory_of_the_one_before():
    assert faults(keeps=False) > 100
    assert faults(keeps=True) < 10
