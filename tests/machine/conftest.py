"""Fixtures of the machine under the box."""

from __future__ import annotations

import pytest

from tests.machine.machines import machine_in


@pytest.fixture
def machine(tmp_path):
    return machine_in(tmp_path / "machine")


@pytest.fixture
def places(machine):
    return machine.places
