"""Runs a filter as the kernel does, so that those of both processors can be tried here."""

from __future__ import annotations

import struct

KILL, ALLOW, ERRNO = "kill", "allow", "errno"


def judge(program, machine, number, arguments=(), *, arch=None):
    """The verdict on a call: ``kill``, ``allow``, or ``errno N``."""
    words = [word & 0xFFFFFFFFFFFFFFFF for word in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<iIQ6Q", number, machine.arch if arch is None else arch, 0, *words)
    accumulator, at = 0, 0
    while True:
        code, yes, no, operand = struct.unpack_from("=HBBI", program, 8 * at)
        at += 1
        match code:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, operand)
            case 0x54:
                accumulator &= operand
            case 0x15:
                at += yes if accumulator == operand else no
            case 0x06:
                return verdict(operand)
            case _:
                raise AssertionError(f"an instruction {code:#x}")


def verdict(action):
    match action & 0xFFFF0000:
        case 0x80000000:
            return KILL
        case 0x7FFF0000:
            return ALLOW
        case 0x00050000:
            return f"{ERRNO} {action & 0xFFFF}"
    raise AssertionError(f"an action {action:#x}")
