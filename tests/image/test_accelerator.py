"""What runs the processor of a machine is tried, rather than believed to work."""

from __future__ import annotations

import time

import pytest

from tests.image.accelerator import TRANSLATED, comes_up, fastest
from tests.image.machine import Machine


def test_what_is_wanted_by_name_is_taken(monkeypatch):
    monkeypatch.setenv("EDGE_TEST_ACCELERATOR", "tcg,tb-size=64")
    assert fastest("qemu-of-nobody", "code", "named") == "tcg,tb-size=64"


def test_another_processor_is_translated(monkeypatch):
    monkeypatch.delenv("EDGE_TEST_ACCELERATOR", raising=False)
    assert fastest("qemu-system-vax", "code", "other") == TRANSLATED


def test_a_firmware_that_looks_for_what_it_boots_has_come_up():
    says = 'printf "\\033[2JBdsDxe: loading Boot0001" >"${2#file:}"; exec sleep 60'
    began = time.monotonic()
    assert comes_up(["sh", "-c", says, "sh"])
    assert time.monotonic() - began < 15


def test_one_that_is_aborted_or_hangs_has_not():
    assert not comes_up(["sh", "-c", "exit 134", "sh"])
    assert not comes_up(["sh", "-c", "exec sleep 60", "sh"], seconds=0.5)


@pytest.mark.parametrize(("accelerator", "told"), [(TRANSLATED, True), ("kvm", False)])
def test_the_timer_of_a_translated_processor_is_not_judged(tmp_path, accelerator, told):
    machine = Machine(tmp_path, accelerator=accelerator, options="quiet")
    words = next((word for word in machine.command() if word.startswith("type=11")), "")
    assert ("kernel-cmdline-extra=no_timer_check quiet" in words) == told
    assert " quiet" in words or "=quiet" in words
