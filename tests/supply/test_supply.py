"""What the edge is made of is known, allowed, and not known to be broken."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, date, datetime

import pytest

import edge
from edge.viewer import package as ohif
from tests.documents import MANUAL
from tests.supply import __main__ as command
from tests.supply import advisories, bom, licences
from tests.supply.lock import ROOT, Locked, locked


def test_the_bill_has_every_package_with_version_licence_and_digests():
    made = bom.bill()
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.6")
    assert made["metadata"]["component"]["version"] == edge.__version__
    components = {one["purl"]: one for one in made["components"]}
    viewer = components.pop(bom.VIEWER)
    assert viewer["purl"] == f"pkg:npm/%40ohif/app@{ohif.VERSION}"
    assert viewer["licenses"] == [{"license": {"id": "MIT"}}]
    (hashed,) = viewer["externalReferences"][0]["hashes"]
    assert bytes.fromhex(hashed["content"]) == base64.b64decode(ohif.INTEGRITY[7:])
    assert components.keys() == {one.purl for one in locked()}
    lock = (ROOT / "requirements.lock").read_text()
    for one in components.values():
        assert one["licenses"]
        (files,) = one["externalReferences"]
        assert files["hashes"]
        assert all(f"--hash=sha256:{it['content']}" in lock for it in files["hashes"])
    assert sum(len(one["externalReferences"][0]["hashes"]) for one in components.values()) == (
        lock.count("--hash=sha256:")
    )


def test_what_depends_on_what_is_in_it_and_leads_nowhere_else():
    made = bom.bill()
    known = {one["bom-ref"] for one in made["components"]}
    known.add(made["metadata"]["component"]["bom-ref"])
    graph = {one["ref"]: one["dependsOn"] for one in made["dependencies"]}
    assert graph.keys() == known
    reached, pending = set(), [made["metadata"]["component"]["bom-ref"]]
    while pending:
        for ref in graph[pending.pop()]:
            assert ref in known
            if ref not in reached:
                reached.add(ref)
                pending.append(ref)
    # What builds is locked, too, and nothing that runs asks for it.
    names = {re.match(r"pkg:pypi/(.*)@", ref)[1] for ref in known - reached}
    assert names <= {"edge-cache", "setuptools"}


def test_the_same_lock_makes_the_same_bytes_and_names_no_machine():
    text = bom.written()
    assert bom.written() == text
    assert json.loads(text)["serialNumber"].startswith("urn:uuid:")
    assert not re.search(r"timestamp|/home|/tmp|https", text)


def test_every_licence_is_known_and_allowed_and_what_the_package_says():
    assert licences.faults() == []


@pytest.mark.parametrize(
    ("expression", "said", "fault"),
    [
        ("GPL-3.0-only", "GPL-3.0-only", "is not among the licences"),
        ("MIT", "Apache-2.0", "and the manual MIT"),
        ("BSD-3-Clause", None, "says nothing"),
    ],
)
def test_a_licence_that_is_not_right_is_named(expression, said, fault, monkeypatch):
    table = licences.licences() | {"httpx": licences.Licence("httpx", expression)}
    monkeypatch.setattr(licences, "licences", lambda: table)
    really = licences.said_by
    monkeypatch.setattr(licences, "said_by", lambda it: said if it == "httpx" else really(it))
    (found,) = licences.faults()
    assert found.startswith("httpx: ")
    assert fault in found


def test_no_advisory_that_is_known_is_open():
    assert advisories.open_ones(locked(), advisories.known()) == []


def test_the_manual_says_until_when_was_looked_and_what_that_can_not_know():
    known = advisories.known()
    assert date.fromisoformat(known["looked"]) <= datetime.now(UTC).date()
    assert f"known until {known['looked']}" in MANUAL["licences"]
    assert sum(map(len, known["packages"].values())) > 50
    assert known["packages"].keys() <= {one.name for one in locked()}
    assert all(reason for reason in known["accepted"].values())


def package(version):
    return Locked("thing", version, "", ())


@pytest.mark.parametrize(
    ("version", "ranges", "is_open"),
    [
        ("1.2", [{"introduced": "0", "fixed": "1.3"}], True),
        ("1.3", [{"introduced": "0", "fixed": "1.3"}], False),
        ("1.10", [{"introduced": "1.9", "fixed": "1.11"}], True),
        ("1.2", [{"introduced": "1.3"}], False),
        ("1.3", [{"introduced": "1.3"}], True),
        ("1.3", [{"introduced": "0", "last_affected": "1.3"}], True),
        ("1.3.1", [{"introduced": "0", "last_affected": "1.3"}], False),
        ("3", [{"introduced": "1", "fixed": "2"}, {"introduced": "3", "fixed": "4"}], True),
        ("1.0rc1", [{"introduced": "0", "fixed": "1.0"}], True),
        ("new", [{"introduced": "0", "fixed": "1.0"}], True),
    ],
)
def test_a_version_in_a_range_is_found(version, ranges, is_open):
    known = {"accepted": {}, "packages": {"thing": [{"id": "A-1", "ranges": ranges}]}}
    found = advisories.open_ones([package(version)], known)
    assert bool(found) is is_open
    if found:
        assert found[0].startswith(f"thing {version}: A-1")
        accepted = known | {"accepted": {"A-1": "does not concern us"}}
        assert advisories.open_ones([package(version)], accepted) == []


RECORD = """
id: A-1
modified: 2031-02-03T04:05:06Z
affected:
- package: {ecosystem: PyPI, name: Thing}
  ranges:
  - type: GIT
    events: [{introduced: "0"}]
  - type: ECOSYSTEM
    events: [{introduced: "0"}, {fixed: "1.2"}, {introduced: "2.0"}, {last_affected: "2.1"}]
- package: {ecosystem: npm, name: thing}
"""


def test_records_of_a_database_are_read(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.yaml").write_text(RECORD)
    (tmp_path / "2.json").write_text('{"id": "A-2", "modified": "2030-01-01", "affected": []}')
    (tmp_path / "3.yaml").write_text(RECORD + "withdrawn: 2031-02-04T00:00:00Z\n")
    (tmp_path / "README.md").write_text("nothing")
    found, day = advisories.from_folder(tmp_path, [package("1.0")])
    assert day == date(2031, 2, 3)
    assert found == {
        "thing": [
            {
                "id": "A-1",
                "ranges": [
                    {"introduced": "0", "fixed": "1.2"},
                    {"introduced": "2.0", "last_affected": "2.1"},
                ],
            }
        ]
    }


def test_a_folder_without_records_changes_nothing(tmp_path, capsys):
    before = advisories.FILE.read_text()
    assert command.main(["--audit", str(tmp_path)]) == 1
    assert "nothing was changed" in capsys.readouterr().err
    assert advisories.FILE.read_text() == before


def test_an_index_is_asked_about_exactly_what_is_locked():
    asked = []

    def read(address):
        asked.append(address)
        listed = [{"id": "A-1", "fixed_in": ["1.1"]}, {"id": "A-2", "withdrawn": "2031-01-01"}]
        return json.dumps({"vulnerabilities": listed}).encode()

    found, _ = advisories.from_index("https://index/simple/", [package("1.0")], read)
    assert asked == ["https://index/pypi/thing/1.0/json"]
    ranges = [{"introduced": "1.0", "fixed": "1.1"}]
    assert found == {"thing": [{"id": "A-1", "ranges": ranges}]}


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b"<html>", OSError("no route")])
def test_an_index_that_tells_nothing_is_no_clean_bill(answer):
    def read(_):
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.raises(advisories.NoAdvisories, match="thing"):
        advisories.from_index("https://index/simple", [package("1.0")], read)


def test_the_file_is_written_as_it_is_committed():
    assert command.written(advisories.known()) == advisories.FILE.read_text()


def test_what_is_found_is_added_and_the_day_never_goes_back():
    found = {"thing": [{"id": "A-1", "ranges": []}]}
    renewed = advisories.merged(found, date(2000, 1, 1))
    assert renewed["looked"] == advisories.known()["looked"]
    assert renewed["packages"]["thing"] == found["thing"]
    assert advisories.merged(found, date(2999, 1, 1))["looked"] == "2999-01-01"
