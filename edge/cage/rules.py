"""Which system calls are let through, and when; as a program that the kernel runs for each.

Owns the order of judgement: a foreign processor or kind of call ends the process; then a call is
let through, fails, or ends the process, as the rules say; one that they do not name fails.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.cage.bpf import ALLOW, KILL, Instruction, assemble, fail, keep, load, unless, when
from edge.cage.calls import Machine

__all__ = ["Argument", "Rules", "program"]

# struct seccomp_data (linux/seccomp.h), on processors that put the low half of a number first.
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_HALF: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Argument:
    """What an argument of a call must be: some bits of it are these."""

    position: int
    bits: int
    """That count; those above 32 are not looked at if none of them does."""
    value: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process may ask of the kernel."""

    allowed: frozenset[str]
    """Whatever the arguments."""
    within: Mapping[str, Sequence[Argument]] = field(default_factory=dict)
    """Let through if every argument is as it must be."""
    absent: frozenset[str] = frozenset()
    """Fail as on a kernel that does not know them, so that an older way is taken."""
    fatal: frozenset[str] = frozenset()
    """End the process; of those that are allowed within limits, whatever is beyond."""


def program(rules: Rules, machine: Machine) -> bytes:
    """The filter of a processor.

    Raises:
        KeyError: A call has no entry in the table of numbers.
    """
    body: list[Instruction] = [load(_ARCH)]
    body += unless(machine.arch, [KILL])
    body.append(load(_NUMBER))
    if machine.foreign_bit:
        # The bit alone, then the number again: the tests below want all of it.
        body += [keep(machine.foreign_bit), *when(machine.foreign_bit, [KILL]), load(_NUMBER)]
    for name in sorted(rules.allowed):
        body += _of(machine, name, [ALLOW])
    for name, arguments in sorted(rules.within.items()):
        beyond = KILL if name in rules.fatal else fail(errno.EPERM)
        body += _of(machine, name, [*_tested(arguments), beyond])
    for name in sorted(rules.absent):
        body += _of(machine, name, [fail(errno.ENOSYS)])
    for name in sorted(rules.fatal - rules.within.keys()):
        body += _of(machine, name, [KILL])
    return assemble([*body, fail(errno.EPERM)])


def _of(machine: Machine, name: str, block: Sequence[Instruction]) -> list[Instruction]:
    number = machine.number(name)
    return [] if number is None else when(number, block)


def _tested(arguments: Sequence[Argument]) -> list[Instruction]:
    """Let through if all of them are right; else go on behind it."""
    block: list[Instruction] = [ALLOW]
    for argument in reversed(arguments):
        place = _ARGUMENTS + 8 * argument.position
        if high := argument.bits >> 32:
            test = when(argument.value >> 32, block)
            block = [load(place + 4), keep(high), *test]
        test = when(argument.value & _HALF, block)
        block = [load(place), keep(argument.bits & _HALF), *test]
    return block
