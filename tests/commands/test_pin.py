"""``edge pin``, in processes of its own."""

from __future__ import annotations

import json

import pytest

from tests import program


@pytest.fixture
def pin(started):
    """Runs it on a box that was started once."""
    path = started('[cache]\npin = ["modality MG"]\n')

    def run(*words):
        return program.run("pin", *words, "--config", path)

    return run


def test_studies_and_patients_are_pinned_listed_and_let_go(pin):
    assert pin("add", "--study", "1.2.3").returncode == 0
    again = pin("add", "--study", "1.2.3")
    assert (again.returncode, again.stderr) == (0, "edge: it was pinned already\n")
    assert pin("add", "--patient", "4711", "--issuer", "EAST").returncode == 0
    listed = pin("list").stdout.splitlines()
    assert listed[0].startswith("study 1.2.3  0 of 0 images here")
    assert listed[1].startswith("patient 4711 of EAST  0 of 0 images here")
    assert listed[2] == "modality MG  (configuration)"
    assert [one["value"] for one in json.loads(pin("list", "--json").stdout)] == ["1.2.3", "4711"]
    wrong = pin("remove", "--patient", "4711")
    assert (wrong.returncode, wrong.stderr) == (1, "edge: no such pin\n")
    assert pin("remove", "--patient", "4711", "--issuer", "EAST").returncode == 0
    assert pin("remove", "--study", "1.2.3").returncode == 0
    assert json.loads(pin("list", "--json").stdout) == []


def test_what_is_no_study_is_refused(pin):
    ran = pin("add", "--study", "one")
    assert ran.returncode == 1
    assert "Study Instance UID" in ran.stderr
    assert pin("add").returncode == 2
