"""``edge mpps``, in processes of its own, without a service."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge import config
from edge.app import Appliance
from edge.cache.procedures import Procedures, Step
from edge.commands.mpps import _print_step
from edge.dicom.procedure import StepState
from tests.commands import program
from tests.dimse.steps import beginning, ending, json_of


@pytest.fixture
async def path(tmp_path, free_port):
    """The configuration of a box that has a step, and could tell nobody of it."""
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    settings = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )
    async with Appliance(settings) as box:
        steps = Procedures(box.cache.database, box.changes, forward_to=["RIS"])
        await steps.create("1.2.3.4", json_of(beginning()), "CT1")
        await steps.change("1.2.3.4", json_of(ending()))
    return path


async def edge(path, *arguments):
    return await asyncio.to_thread(program.run, "mpps", *arguments, "--config", path)


async def test_it_lists_steps_and_what_nobody_was_told(path):
    said = (await edge(path, "list")).stdout
    assert "performed procedure steps: 1" in said
    assert "1.2.3.4  COMPLETED" in said
    assert "    step      CT Thorax at CT1\n" in said
    assert "RIS       2 messages wait" in said
    other = json.loads((await edge(path, "list", "--study", "9.9", "--json")).stdout)
    assert other == {"total": 0, "items": []}
    waiting = json.loads((await edge(path, "outbox", "--json")).stdout)
    assert [one["operation"] for one in waiting["items"]] == ["N-CREATE", "N-SET"]
    assert "not delivered: 2" in (await edge(path, "outbox")).stdout


async def test_it_has_messages_sent_again_or_never(path):
    assert "2 messages will be sent when" in (await edge(path, "retry", "--all")).stderr
    unclear = await edge(path, "retry")
    assert (unclear.returncode, "not clear" in unclear.stderr) == (2, True)
    assert "2 messages will not be sent" in (await edge(path, "drop", "1")).stderr
    assert (await edge(path, "drop", "1")).returncode == 1
    assert "not delivered: 2" in (await edge(path, "outbox")).stdout  # dropped, and shown as that


def test_a_step_without_a_description_has_its_modality_alone(capsys):
    step = Step(
        sop_uid="1.2.3.4",
        state=StepState.IN_PROGRESS,
        peer="CT1",
        created=1.0,
        changed=1.0,
        study_uids=["1.2"],
        accession_numbers=[],
        patient_name="",
        patient_id="",
        modality="CT",
        station="CT1",
        description="",
        instances=0,
        missing=0,
        told=[],
    )
    _print_step(step)
    assert "    step      CT at CT1\n" in capsys.readouterr().out
