"""Classic BPF, as much of it as a filter of system calls takes (seccomp(2), linux/filter.h).

Owns the encoding of instructions, eight bytes each. Programs here are straight: each test goes on
to the next instruction, or over a block whose end is known when it is written; so there are no
labels.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = [
    "ALLOW",
    "KILL",
    "MOST",
    "Instruction",
    "assemble",
    "fail",
    "keep",
    "load",
    "unless",
    "when",
]

_INSTRUCTION: Final = struct.Struct("=HBBI")
# BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
MOST: Final = 4096
"""Instructions of a program (BPF_MAXINSNS)."""
_FURTHEST: Final = 255
"""Instructions over which a test can jump."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of them."""

    code: int
    yes: int = 0
    """Instructions that are left out if a test is true."""
    no: int = 0
    """And if it is not."""
    operand: int = 0

    def __post_init__(self) -> None:
        if max(self.yes, self.no) > _FURTHEST:
            raise ValueError("a block is too long to be jumped over")


def load(offset: int) -> Instruction:
    """Take a word of ``struct seccomp_data``."""
    return Instruction(_LOAD, operand=offset)


def keep(mask: int) -> Instruction:
    """Take these bits of it alone."""
    return Instruction(_AND, operand=mask)


def when(value: int, block: Sequence[Instruction]) -> list[Instruction]:
    """If it is this value, do that; else go on behind it."""
    return [Instruction(_EQUAL, no=len(block), operand=value), *block]


def unless(value: int, block: Sequence[Instruction]) -> list[Instruction]:
    """If it is another value, do that; else go on behind it."""
    return [Instruction(_EQUAL, yes=len(block), operand=value), *block]


def _word(action: int) -> Instruction:
    """Return an action; the program ends."""
    return Instruction(_RETURN, operand=action)


ALLOW: Final = _word(0x7FFF0000)
"""SECCOMP_RET_ALLOW"""
KILL: Final = _word(0x80000000)
"""SECCOMP_RET_KILL_PROCESS: the process ends as by SIGSYS."""


def fail(number: int) -> Instruction:
    """SECCOMP_RET_ERRNO: the call fails with this error, and does nothing."""
    return _word(0x00050000 | number)


def assemble(program: Sequence[Instruction]) -> bytes:
    """As the kernel takes it.

    Raises:
        ValueError: It is too long.
    """
    if len(program) > MOST:
        raise ValueError(f"a program of {len(program)} instructions is too long")
    return b"".join(_INSTRUCTION.pack(one.code, one.yes, one.no, one.operand) for one in program)
