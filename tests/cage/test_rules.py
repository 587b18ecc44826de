"""The filters of both processors, call by call, as the kernel would judge."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from edge.cage import bpf, policies
from edge.cage.calls import _NUMBERS, AARCH64, X86_64
from edge.cage.rules import Argument, Rules, program
from tests.cage.interpreter import ALLOW, KILL, judge

MACHINES = pytest.mark.parametrize("machine", [X86_64, AARCH64], ids=lambda it: it.name)
CAGES = pytest.mark.parametrize("name", ["pixels", "store"])
REFUSED, UNKNOWN = f"errno {errno.EPERM}", f"errno {errno.ENOSYS}"
EXEC, READ_WRITE, THREAD = 4, 3, 0x10000


def rules(name):
    return (policies.pixels() if name == "pixels" else policies.store(Path("a"), Path("b"))).rules


@MACHINES
@CAGES
def test_every_number_is_judged_as_the_lists_say(machine, name):
    said = rules(name)
    names = {machine.number(call): call for call in _NUMBERS}
    filtering = program(said, machine)
    for number in range(1024):
        call = names.get(number)
        if call in said.within:
            continue
        expected = REFUSED
        if call in said.allowed:
            expected = ALLOW
        elif call in said.absent:
            expected = UNKNOWN
        elif call in said.fatal:
            expected = KILL
        assert judge(filtering, machine, number) == expected, call


@MACHINES
@CAGES
def test_memory_may_not_become_code(machine, name):
    filtering = program(rules(name), machine)
    for call in ("mmap", "mprotect"):
        number = machine.number(call)
        assert judge(filtering, machine, number, (0, 4096, READ_WRITE)) == ALLOW
        for prot in (EXEC, EXEC | 1, EXEC | READ_WRITE, EXEC | 1 << 40):
            assert judge(filtering, machine, number, (0, 4096, prot)) == REFUSED


@MACHINES
@CAGES
def test_a_process_may_end_itself_by_a_signal_and_nobody_else(machine, name):
    filtering, number = program(rules(name), machine), machine.number("tgkill")
    assert judge(filtering, machine, number, (os.getpid(), os.getpid(), 6)) == ALLOW
    assert judge(filtering, machine, number, (1, 1, 9)) == KILL
    assert judge(filtering, machine, number, (os.getppid(), os.getppid(), 9)) == KILL


@MACHINES
def test_pixels_have_no_thread_and_the_store_no_process(machine):
    number = machine.number("clone")
    for name, thread in (("pixels", KILL), ("store", ALLOW)):
        filtering = program(rules(name), machine)
        assert judge(filtering, machine, number, (THREAD,)) == thread
        assert judge(filtering, machine, number, (17,)) == KILL  # SIGCHLD: fork()
        assert judge(filtering, machine, number, (THREAD << 32,)) == KILL
        assert judge(filtering, machine, machine.number("clone3")) == UNKNOWN


@MACHINES
def test_of_its_limits_a_worker_changes_the_one_of_its_processor_time(machine):
    filtering, number = program(rules("pixels"), machine), machine.number("prlimit64")
    assert judge(filtering, machine, number, (0, resource.RLIMIT_CPU)) == ALLOW
    for limit in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE):
        assert judge(filtering, machine, number, (0, limit)) == REFUSED
    assert judge(filtering, machine, number, (1, resource.RLIMIT_CPU)) == REFUSED


@MACHINES
@CAGES
def test_calls_of_another_kind_end_the_process(machine, name):
    filtering, number = program(rules(name), machine), machine.number("read")
    for arch in (0x40000003, 0x40000028, 0, (AARCH64, X86_64)[machine is AARCH64].arch):
        assert judge(filtering, machine, number, arch=arch) == KILL
    if machine is X86_64:
        for x32 in (0, 59, 520):
            assert judge(filtering, machine, 0x40000000 | x32) == KILL
    assert judge(filtering, machine, -1) in (KILL, REFUSED)


def test_bits_above_32_count_where_a_rule_says_so():
    wide = Argument(1, 1 << 40 | 1, 1 << 40)
    filtering = program(Rules(frozenset(), within={"read": (wide,)}), X86_64)
    assert judge(filtering, X86_64, 0, (0, 1 << 40)) == ALLOW
    assert judge(filtering, X86_64, 0, (0, 1 << 40 | 2)) == ALLOW
    for wrong in (0, 1, 1 << 40 | 1):
        assert judge(filtering, X86_64, 0, (0, wrong)) == REFUSED


def test_several_arguments_must_all_be_right():
    both = (Argument(0, 0xFF, 1), Argument(5, 0xFF, 2))
    filtering = program(
        Rules(frozenset(), within={"read": both}, fatal=frozenset({"read"})), X86_64
    )
    assert judge(filtering, X86_64, 0, (1, 0, 0, 0, 0, 2)) == ALLOW
    assert judge(filtering, X86_64, 0, (1, 0, 0, 0, 0, 3)) == KILL
    assert judge(filtering, X86_64, 0, (2, 0, 0, 0, 0, 2)) == KILL


def test_a_program_that_the_kernel_would_not_take_is_not_made():
    with pytest.raises(ValueError, match="too long"):
        bpf.when(1, [bpf.ALLOW] * 256)
    with pytest.raises(ValueError, match="too long"):
        bpf.assemble([bpf.ALLOW] * 4097)
    assert len(program(rules("store"), X86_64)) < 8 * bpf.MOST // 4
