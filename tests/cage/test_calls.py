"""The numbers are those of the kernel's own headers."""

from __future__ import annotations

import platform
import re
import struct
from pathlib import Path

import pytest

from edge.cage import calls
from edge.cage.calls import _NUMBERS, AARCH64, X86_64, this_machine

HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


@pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda it: it.name)
def test_every_number_is_that_of_the_header(machine):
    if not (header := HEADERS[machine.name]).exists():
        pytest.skip(f"{header} is not here")
    text = header.read_text()
    found = re.findall(r"#define __NR_(\w+)\s+(\d+)\b", text)
    found += re.findall(r"#define __NR3264_(\w+)\s+(\d+)\b", text)
    theirs = {name: int(number) for name, number in found}
    theirs |= {"newfstatat": theirs["fstatat"]} if "fstatat" in theirs else {}
    for name in _NUMBERS:
        if (ours := machine.number(name)) is None:
            assert name not in theirs or machine is AARCH64, name
        elif name in theirs:  # older headers lack the newest calls
            assert ours == theirs[name], name
    assert len(_NUMBERS.keys() & theirs.keys()) > 60


def test_calls_that_a_processor_lacks_are_the_old_ones():
    lacking = {name for name in _NUMBERS if AARCH64.number(name) is None}
    assert lacking == {"open", "rename", "fork", "vfork"}
    assert all(X86_64.number(name) is not None for name in _NUMBERS)


def test_this_machine_is_known_by_its_name(monkeypatch):
    for name, machine in (("x86_64", X86_64), ("aarch64", AARCH64), ("riscv64", None)):
        monkeypatch.setattr(platform, "machine", lambda name=name: name)
        assert this_machine() is machine


def test_a_python_of_32_bits_is_another_machine(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(calls.struct, "calcsize", lambda _: 4)
    assert this_machine() is None
    assert struct is calls.struct
