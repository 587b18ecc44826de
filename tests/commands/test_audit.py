"""``edge audit`` and ``edge check audit``, in processes of their own, beside a running service."""

from __future__ import annotations

import argparse
import asyncio
import csv
import io
import json
from xml.etree import ElementTree as ET

import msgspec
import pytest

from edge import config
from edge.access.audit.entry import Actor, Entry, Event, Outcome, Subject
from edge.access.audit.export import as_json
from edge.app import Appliance
from edge.commands.audit import _lines, _time, _write
from edge.commands.words import moment
from edge.errors import ConfigError
from tests import program
from tests.access.audit.grammar import faults


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n')
    return path


@pytest.fixture
def settings(tmp_path):
    return config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cache=config.Cache(reserve_bytes=0),
    )


@pytest.fixture
async def box(settings):
    async with Appliance(settings) as box:
        await box.cache.audit.record(
            Entry(
                at=1_900_000_000.0,
                event=Event.QUERIED,
                actor=Actor("=cmd|x", role="viewer", address="10.0.0.7"),
                about=Subject("1.2.3", "4711", "Nobody^A"),
                query="PatientName=Nobody*",
            ),
            Entry(
                at=1_900_000_001.0,
                event=Event.DELETED,
                actor=Actor("keeper", role="admin"),
                outcome=Outcome.FAILED,
                about=Subject("1.2.3", "4711", "Nobody^A"),
                reason="the disk \x1b[2J",
            ),
        )
        yield box


async def edge(path, *arguments):
    return await asyncio.to_thread(program.run, *arguments, "--config", path)


async def test_entries_are_found_shown_and_the_look_is_recorded(box, path):
    shown = await edge(path, "audit", "search", "--patient", "nobody", "--failed")
    assert shown.returncode == 0
    assert "instances deleted  FAILED" in shown.stdout
    assert "keeper, admin" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert "query" not in shown.stdout
    found = await edge(path, "audit", "search", "--event", "record read", "--json")
    [before] = [json.loads(line) for line in found.stdout.splitlines()]
    assert before["what"] == "edge audit search"
    assert before["query"] == "patient=nobody"
    assert before["actor"]["kind"] == "machine"


async def test_an_event_that_is_none_is_refused_with_those_that_are(box, path):
    refused = await edge(path, "audit", "search", "--event", "record")
    assert refused.returncode == 2
    assert '"record read", "record started"' in refused.stderr
    nothing = await edge(path, "audit", "search", "--until", "2001-01-01")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "no entry fits" in nothing.stderr


async def test_whoever_is_not_shown_all_is_told_so(box, path):
    of_it = ("audit", "search", "--study", "1.2.3")
    for more in ([], ["--json"]):
        some = await edge(path, *of_it, "--limit", "1", *more)
        assert some.stderr.startswith("edge: the newest 1 of more\n")
        assert "edge audit export" in some.stderr
    queries = await edge(path, *of_it, "--event", "query", "--limit", "1")
    assert (queries.returncode, queries.stderr) == (0, "")  # it is the only one
    for limit in ("0", "-1"):
        refused = await edge(path, *of_it, f"--limit={limit}")
        assert refused.returncode == 2
        assert "1 or more" in refused.stderr


async def test_a_table_is_harmless_in_a_spreadsheet(box, path, tmp_path):
    table = await edge(path, "audit", "export", "--format", "csv", "--study", "1.2.3")
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert [row["event"] for row in rows] == ["query", "instances deleted"]
    assert rows[0]["actor"] == "'=cmd|x"
    assert rows[0]["at"] == "2030-03-17T17:46:40.000+00:00"
    output = tmp_path / "audit.json"
    done = await edge(path, "audit", "export", "--study", "1.2.3", "--output", str(output))
    assert done.returncode == 0
    assert output.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line)["event"] for line in output.read_text().splitlines()] == [
        "query",
        "instances deleted",
        "record read",  # the table of this study was one, too
    ]
    again = await edge(path, "audit", "export", "--output", str(output))
    assert again.returncode == 2
    assert "is there already" in again.stderr


def test_an_entry_says_what_there_is_to_say_and_no_more():
    asking = Entry(at=1_900_000_000.0, event=Event.QUERIED, actor=Actor("Ada"))
    for entry, much in (
        (asking, ""),
        (msgspec.structs.replace(asking, instances=1), "1 image"),
        (msgspec.structs.replace(asking, instances=2, times=3), "2 images, 3 times"),
        (msgspec.structs.replace(asking, times=3), "3 times"),
    ):
        said = [line.split(maxsplit=2)[2] for line in _lines(entry) if "how much" in line]
        assert said == [much] * bool(much)
    soon = msgspec.structs.replace(asking, until=asking.at + 5)
    later = msgspec.structs.replace(asking, until=asking.at + 65)
    assert ["until" in next(_lines(one)) for one in (soon, later)] == [False, True]
    *_, since = _lines(msgspec.structs.replace(asking, detail={"since": "1900000000.5"}))
    assert since == f"    since     {moment(1_900_000_000.5)}"


def test_what_is_no_time_is_refused_with_examples():
    with pytest.raises(argparse.ArgumentTypeError, match="7d"):
        _time("yesterday")


def test_a_file_that_can_not_be_made_is_said(tmp_path):
    with pytest.raises(ConfigError, match="No such file") as refused:
        _write(tmp_path / "missing" / "x.csv", as_json, iter(()))
    assert "folder" in refused.value.hint


async def test_audit_messages_are_one_document(box, path):
    document = await edge(path, "audit", "export", "--format", "dicom", "--study", "1.2.3")
    root = ET.fromstring(document.stdout)
    assert [faults(one) for one in root] == [[], []]
    codes = [one.find("EventIdentification/EventID").get("csd-code") for one in root]
    assert codes == ["110112", "110103"]


@pytest.mark.blocks  # the test changes the files
async def test_the_check_names_the_entry_that_was_changed(box, path):
    sound = await edge(path, "check", "audit")
    assert sound.returncode == 0
    assert "the record is as it was written" in sound.stdout
    folder = box.cache.audit.folder
    [segment] = folder.segments()
    data = bytearray(segment.path.read_bytes())
    second = list(folder.read(segment))[1]
    data[second.end - 1] ^= 1
    segment.path.write_bytes(data)
    changed = await edge(path, "check", "audit", "--json")
    assert changed.returncode == 1
    report = json.loads(changed.stdout)
    assert report["sound"] is False
    assert [(one["fault"], one["first"]) for one in report["findings"]] == [("changed", 2)]
    said = (await edge(path, "status")).stdout
    assert "The audit was found damaged: entry 2 does not open: edge check audit." in said
