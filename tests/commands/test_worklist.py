"""``edge worklist``, in processes of its own."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from edge import config, others
from edge.app import Appliance
from tests import program
from tests.worklists import day, item, save

ADD = "add --patient-name ROE^RICHARD --patient-id 4711 --modality CT --station CT1".split()


@pytest.fixture
def edge(tmp_path):
    """Runs it on a box that was started once, with a folder of worklist files."""
    folder = tmp_path / "wl"
    folder.mkdir()
    save(item(1), folder / "1.wl")
    (folder / "broken.wl").write_bytes(b"?")
    os.utime(folder / "broken.wl", (1e9, 1e9))  # nobody writes it any more
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        worklist=config.Worklist((others.WorklistSource("folder", "folder", path=folder),)),
    )

    async def start_once():
        async with Appliance(loaded) as box, asyncio.timeout(60):
            with box.changes.subscribe() as woken:  # the patient is expected, too
                while not (await box.cache.worklist.page(limit=1, offset=0)).total:
                    await woken.wait(0.1)

    asyncio.run(start_once())
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n'
        f'[[worklist.source]]\nname = "folder"\nkind = "folder"\npath = "{folder}"\n'
    )

    def run(*words):
        return program.run(*words, "--config", path)

    return run


def test_steps_are_added_listed_and_taken_back(edge):
    added = edge("worklist", *ADD, "--time", "09:15", "--date", "2999-12-31")
    assert added.returncode == 0, added.stderr
    study_uid, step_id = added.stdout.split()
    listed = json.loads(edge("worklist", "list", "--json").stdout)
    assert [(one["patient_id"], one["source"]) for one in listed["items"]] == [
        ("P1", "folder"),
        ("4711", "api"),
    ]
    assert edge("worklist", "list", "--date", "2999-12-31").stdout == (
        "29991231 0915  CT1              CT    ROE^RICHARD, 4711  CT study  (api)\n"
    )
    assert edge("worklist", "remove", study_uid, "--step-id", step_id).returncode == 0
    again = edge("worklist", "remove", study_uid)
    assert (again.returncode, again.stderr) == (1, "edge: no such step was added here\n")


def test_an_option_that_is_wrong_is_named(edge):
    wrong = edge("worklist", *ADD, "--birth-date", "1.2.1970")
    assert wrong.returncode == 2
    assert "--birth-date can't be understood: it must be year, month and day" in wrong.stderr


def test_a_day_that_is_none_is_no_empty_list(edge):
    listed = edge("worklist", "list", "--date", "29.11.2026")
    assert (listed.returncode, listed.stdout) == (2, "")
    assert "--date can't be understood: it must be year, month and day" in listed.stderr
    wrong = edge("worklist", *ADD[:-1], "TOO-LONG-AN-AE-TITLE")
    assert wrong.returncode == 2
    assert "--station can't be understood: it must be an AE title" in wrong.stderr


def test_the_status_says_how_old_the_worklist_is_and_what_is_broken(edge):
    edge("worklist", *ADD)
    said = edge("status").stdout
    assert f"worklist folder: 1 step, as of {day()[:4]}-" in said
    assert "not right: broken.wl: no DICOM file" in said
    assert "worklist api: 1 step, added here" in said
    (folder, api) = json.loads(edge("status", "--json").stdout)["worklist"]
    assert (folder["name"], folder["steps"], folder["error"]) == ("folder", 1, "")
    assert (api["name"], api["succeeded"]) == ("api", None)
