"""C-FIND over the wire, on a real index: our own requestor, pynetdicom, DCMTK."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager

import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from edge.cache.catalogue import Catalogue
from edge.config import Dimse
from edge.dicom.identifier import IDENTIFIER_SYNTAXES, read_identifier, write_identifier
from edge.dimse.find import query_service
from edge.dimse.messages import CommandField, Element
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.index import remote
from edge.index.database import DatabaseBroken
from edge.others import Peer
from tests.dimse import raw
from tests.dimse.dcmtk import run
from tests.index.conftest import database, new_instance, put
from tests.index.rows import listed

__all__ = ["database", "new_instance", "put"]

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
PATIENT_STUDY_ONLY = "1.2.840.10008.5.1.4.1.2.3.1"
PEER = Peer("WS", may=("query",))
RELATIONAL = b"\1\1\1\1\1"


def key(vr, *values):
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


STUDY_KEYS = {
    "00080020": key("DA"),
    "00080052": key("CS", "STUDY"),
    "00100010": key("PN"),
    "00100020": key("LO"),
    "00104000": key("LT"),
    "00201208": key("IS"),
}


@pytest.fixture
async def studies(new_instance, put):
    """Three studies of two people, the second with two series."""

    def instance(study, series, number, **more):
        return new_instance(
            study=f"1.2.{study}",
            series=f"1.2.{study}.{series}",
            sop=f"1.2.{study}.{series}.{number}",
            t00080020=("DA", f"2026010{study}"),
            t00080030=("TM", f"{7 + study:02}00"),
            t00080060=("CS", "MR" if series == 2 else "CT"),
            t00100010=("PN", {"Alphabetic": f"Doe^J{study // 3}"}),
            t00100020=("LO", f"P{study // 3}"),
            t00080201=("SH", "+0100"),
            t00400275=(
                "SQ",
                {"00400009": key("SH", f"S{study}"), "00400007": key("LO", "Thorax")},
            ),
            **more,
        )

    await put(
        instance(1, 1, 1),
        instance(2, 1, 1),
        instance(2, 1, 2),
        instance(2, 2, 1),
        instance(3, 1, 1),
    )


class Workstation:
    """What asks, and reads the answers."""

    def __init__(self, association, syntax):
        self.association, self.syntax = association, syntax

    async def find(self, asked, *, root=STUDY_ROOT, charset=()):
        """Statuses, answers, and the last command."""
        statuses, answers = [], []
        values = {Element.AFFECTED_SOP_CLASS_UID: root, Element.PRIORITY: 0}
        data = write_identifier(asked, self.syntax, charset)
        responses = self.association.dialogue.requests(
            self.association.find(root).context_id, CommandField.C_FIND, values, data
        )
        async for response in responses:
            statuses.append(response.status)
            if response.data_set:
                answers.append(read_identifier(response.data_set, self.syntax))
        return statuses, answers, response.command

    async def uids(self, asked, tag="0020000D", **more):
        return [one[tag]["Value"][0] for one in (await self.find(asked, **more))[1]]


@asynccontextmanager
async def serving(database, **settings):
    settings = {"unknown_peers": "reject", "peer": (PEER,)} | settings
    async with raw.serving(services=(query_service(Catalogue(database)),), **settings) as server:
        yield server


@asynccontextmanager
async def workstation(database, *, syntax=raw.EXPLICIT, extended=b"", **settings):
    roots = (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY)
    proposals = [Proposal(root, (syntax,), extended=extended) for root in roots]
    async with serving(database, **settings) as server:
        dialer = Dialer(Dimse(ae_title="WS"))
        async with dialer.associate("127.0.0.1", server.port, "EDGE", proposals) as association:
            yield Workstation(association, syntax)


@pytest.mark.parametrize("syntax", sorted(IDENTIFIER_SYNTAXES))
@pytest.mark.usefixtures("studies")
async def test_an_answer_holds_what_was_asked_for_and_what_the_standard_wants(database, syntax):
    async with workstation(database, syntax=syntax) as ws:
        statuses, answers, _ = await ws.find(STUDY_KEYS | {"00100020": key("LO", "P1")})
    assert statuses == [0xFF00, 0x0000]
    assert answers == [
        {
            "00080020": key("DA", "20260103"),
            "00080052": key("CS", "STUDY"),
            "00080054": key("AE", "EDGE"),
            "00080056": key("CS", "ONLINE"),
            "00080201": key("SH", "+0100"),
            "00100010": key("PN", {"Alphabetic": "Doe^J1"}),
            "00100020": key("LO", "P1"),
            "00104000": key("LT"),
            "0020000D": key("UI", "1.2.3"),
            "00201208": key("IS", 1),
        }
    ]


@pytest.mark.usefixtures("studies")
async def test_each_level_of_patient_root_is_found_below_the_one_above(database):
    async with workstation(database) as ws:
        asked = {"00080052": key("CS", "PATIENT"), "00100020": key("LO")}
        patients = await ws.uids(asked, "00100020", root=PATIENT_ROOT)
        asked |= {"00080052": key("CS", "STUDY"), "00100020": key("LO", "P0")}
        below = await ws.uids(asked, root=PATIENT_ROOT)
        assert await ws.uids(asked, root=PATIENT_STUDY_ONLY) == below
        asked |= {"00080052": key("CS", "SERIES"), "0020000D": key("UI", "1.2.2")}
        series = await ws.uids(asked, "0020000E", root=PATIENT_ROOT)
        asked |= {"00080052": key("CS", "IMAGE"), "0020000E": key("UI", "1.2.2.1")}
        images = await ws.uids(asked, "00080018", root=PATIENT_ROOT)
        wrong = asked | {"00100020": key("LO", "P1")}
        assert await ws.uids(wrong, "00080018", root=PATIENT_ROOT) == []
    assert patients == ["P0", "P1"]
    assert below == ["1.2.1", "1.2.2"]
    assert series == ["1.2.2.1", "1.2.2.2"]
    assert images == ["1.2.2.1.1", "1.2.2.1.2"]


@pytest.mark.parametrize("extended", [b"", RELATIONAL])
@pytest.mark.usefixtures("studies")
async def test_the_levels_above_may_be_left_out_also_unless_that_was_agreed_on(database, extended):
    asked = {"00080052": key("CS", "IMAGE"), "00080060": key("CS", "MR")}
    async with workstation(database, extended=extended) as ws:
        assert await ws.uids(asked, "00080018") == ["1.2.2.2.1"]


@pytest.mark.parametrize(
    ("extended", "found"), [(b"", ["1.2.2"]), (b"\0\1", ["1.2.2", "1.2.3"]), (b"\1\0", ["1.2.2"])]
)
@pytest.mark.usefixtures("studies")
async def test_dates_and_times_are_combined_where_that_was_agreed_on(database, extended, found):
    asked = STUDY_KEYS | {
        "00080020": key("DA", "20260102-20260103"),
        "00080030": key("TM", "0800-0930"),
    }
    if extended == b"\0\1":
        asked["00080030"] = key("TM", "0830-1000")
    async with workstation(database, extended=extended) as ws:
        assert await ws.uids(asked) == found


@pytest.mark.parametrize(("extended", "found"), [(b"", []), (b"\0\0\1", ["1.2.1", "1.2.2"])])
@pytest.mark.usefixtures("studies")
async def test_names_sound_alike_where_that_was_agreed_on(database, extended, found):
    async with workstation(database, extended=extended) as ws:
        name = key("PN", {"Alphabetic": "J0 DO"})
        assert await ws.uids(STUDY_KEYS | {"00100010": name}) == found


@pytest.mark.usefixtures("studies")
async def test_sequences_are_matched_and_answered_with_what_was_asked_of_their_items(database):
    item = {"00400009": key("SH", "S2"), "00321060": key("LO")}
    asked = {
        "00080052": key("CS", "SERIES"),
        "0020000D": key("UI", "1.2.2"),
        "00400275": key("SQ", item),
    }
    async with workstation(database) as ws:
        _, answers, _ = await ws.find(asked)
        expected = key("SQ", {"00321060": key("LO"), "00400009": key("SH", "S2")})
        assert [one["00400275"] for one in answers] == [expected, expected]
        item["00400009"] = key("SH", "S1")
        assert (await ws.find(asked))[0] == [0]
        item |= {"00400009": key("SH", "S2"), "00400007": key("LO", "*orax")}
        assert len(await ws.uids(asked, "0020000E")) == 2
        item["00400007"] = key("LO", "Head")
        assert (await ws.find(asked))[0] == [0]
        asked["00400275"] = key("SQ")
        _, answers, _ = await ws.find(asked)
        assert {"00400007", "00400009"} == answers[0]["00400275"]["Value"][0].keys()


async def test_a_unique_key_without_a_value_is_there_and_empty(database, new_instance, put):
    await put(new_instance(study="1.2.9"))
    async with workstation(database, extended=RELATIONAL) as ws:
        asked = {"00080052": key("CS", "STUDY"), "0020000D": key("UI", "1.2.9")}
        _, (answer,), _ = await ws.find(asked, root=PATIENT_ROOT)
    assert answer["00100020"] == key("LO")


@pytest.mark.usefixtures("studies")
async def test_keys_that_are_not_supported_are_said_and_the_others_answered(database):
    asked = STUDY_KEYS | {"00180050": key("DS", 5.0), "00100020": key("LO", "P1")}
    async with workstation(database) as ws:
        statuses, answers, _ = await ws.find(asked)
    assert statuses == [0xFF01, 0]
    assert answers[0]["00180050"] == key("DS")


@pytest.mark.usefixtures("studies")
async def test_what_is_only_in_the_archive_is_found_like_the_rest_and_what_is_withheld_is_not(
    database,
):
    await database.write(lambda db: remote.learn(db, listed("9.9", study="9.1"), 1.0))
    await database.write(
        lambda db: db.execute(
            "UPDATE instances SET withheld = 'REJECTED' WHERE sop_uid = '1.2.3.1.1'"
        )
    )
    async with workstation(database) as ws:
        _, answers, _ = await ws.find(STUDY_KEYS)
    found = {one["0020000D"]["Value"][0]: one["00080056"]["Value"][0] for one in answers}
    assert found == {"1.2.1": "ONLINE", "1.2.2": "ONLINE", "9.1": "NEARLINE"}


@pytest.mark.parametrize(
    ("asked", "status", "offending", "words"),
    [
        ({"00080052": key("CS", "PATIENT")}, 0xA900, "08005200", "Level"),
        ({"00100020": key("LO")}, 0xA900, "08005200", "missing"),
        (STUDY_KEYS | {"00080020": key("DA", "Secret")}, 0xC000, "08002000", "StudyDate"),
        (STUDY_KEYS | {"0020000D": key("UI", "1.2.*")}, 0xC000, "20000D00", "UID"),
    ],
)
async def test_a_bad_identifier_is_refused_with_the_element_and_no_value_of_it(
    database, caplog, asked, status, offending, words
):
    async with workstation(database) as ws:
        statuses, _, command = await ws.find(asked)
        assert statuses == [status]
        assert command.elements[Element.OFFENDING_ELEMENT] == bytes.fromhex(offending)
        assert words in command.text(Element.ERROR_COMMENT)
        # The association goes on.
        assert (await ws.find(STUDY_KEYS))[0] == [0]
    assert "Secret" not in caplog.text
    assert "Secret" not in command.text(Element.ERROR_COMMENT)


async def test_bytes_that_are_no_data_set_are_refused(database):
    async with workstation(database) as ws:
        context = ws.association.find(STUDY_ROOT).context_id
        values = {Element.AFFECTED_SOP_CLASS_UID: STUDY_ROOT, Element.PRIORITY: 0}
        for data in (b"\xff" * 100, b"\x08\x00\x52\x00CS\xff\xffSTUDY "):
            answer = await ws.association.dialogue.request(
                context, CommandField.C_FIND, values, data
            )
            assert answer.status == 0xC000
        too_long = write_identifier({"00104000": key("UT", "x" * 1100000)}, raw.EXPLICIT)
        answer = await ws.association.dialogue.request(
            context, CommandField.C_FIND, values, too_long
        )
        assert answer.status == 0xC000
        assert (await ws.find(STUDY_KEYS))[0] == [0]


async def test_an_index_that_fails_is_unable_to_process(database, monkeypatch):
    async with workstation(database) as ws:

        async def fail(*_):
            raise DatabaseBroken("a page of 4711")

        monkeypatch.setattr(database, "scan", fail)
        statuses, _, command = await ws.find(STUDY_KEYS)
        assert statuses == [0xC001]
        assert "4711" not in command.text(Element.ERROR_COMMENT)


async def test_who_may_not_query_is_told_so_by_the_context(database):
    may_store = Peer("WS", may=("store",))
    async with workstation(database, peer=(may_store,)) as ws:
        assert ws.association.find(STUDY_ROOT) is None


@pytest.fixture
async def many(database):
    """Some thousands of studies."""
    sops = [f"9.{number}" for number in range(3000)]

    def learn(db):
        for sop in sops:
            remote.learn(db, listed(f"{sop}.1.1", study=sop, series=f"{sop}.1"), 1.0)

    await database.write(learn)
    return sops


async def test_answers_come_as_they_are_found_and_end_when_the_peer_cancels(database, many):
    async with workstation(database) as ws:
        assert len(await ws.uids({"00080052": key("CS", "STUDY")})) == len(many)
        context = ws.association.find(STUDY_ROOT).context_id
        values = {Element.AFFECTED_SOP_CLASS_UID: STUDY_ROOT, Element.PRIORITY: 0}
        data = write_identifier({"00080052": key("CS", "STUDY")}, raw.EXPLICIT)
        requests = ws.association.dialogue.requests(context, CommandField.C_FIND, values, data)
        async for response in requests:
            assert response.is_pending
            break
        await requests.aclose()  # C-CANCEL, and waits for the last answer
        assert (await ws.find({"00080052": key("CS", "STUDY"), "0020000D": key("UI", "9.5")}))[
            0
        ] == [0xFF00, 0]


async def test_dcmtk_stops_it_by_c_cancel(database, many):
    async with serving(database, peer=(Peer("FINDSCU", may=("query",)),)) as server:
        result = await run(
            "findscu", server.port, "-v", "-S", "--cancel", 5, "-k", "QueryRetrieveLevel=STUDY"
        )
    assert result.status == 0, result.output
    assert "Cancel" in result.output
    pending = len(re.findall("Find Response: ", result.output))
    assert 5 <= pending < len(many)


@pytest.mark.parametrize("root", ["-S", "-P", "-O"])
@pytest.mark.parametrize("syntax", ["-x=", "-xe", "-xb", "-xi", "-xd"])
@pytest.mark.usefixtures("studies")
async def test_dcmtk_finds_in_every_encoding_and_every_root(database, tmp_path, root, syntax):
    async with serving(database, peer=(Peer("FINDSCU", may=("query",)),)) as server:
        words = ["QueryRetrieveLevel=STUDY", "PatientID=P0", "StudyInstanceUID", "PatientName"]
        keys = [word for one in words for word in ("-k", one)]
        result = await run("findscu", server.port, root, syntax, "-X", "-od", tmp_path, *keys)
    assert result.status == 0, result.output
    found = [pydicom.dcmread(path, force=True) for path in sorted(tmp_path.glob("rsp*.dcm"))]
    assert [one.StudyInstanceUID for one in found] == ["1.2.1", "1.2.2"]
    assert {str(one.PatientName) for one in found} == {"Doe^J0"}


def pynetdicom_finds(port, dataset, *, extended=b"", root=STUDY_ROOT):
    """With pynetdicom: statuses, and data sets."""
    ae = AE("WS")
    ae.add_requested_context(root)
    negotiated = []
    if extended:
        item = SOPClassExtendedNegotiation()
        item.sop_class_uid = root
        item.service_class_application_information = extended
        negotiated.append(item)
    association = ae.associate("127.0.0.1", port, ae_title="EDGE", ext_neg=negotiated)
    assert association.is_established
    try:
        answered = [
            item.service_class_application_information
            for item in association.acceptor.user_information
            if isinstance(item, SOPClassExtendedNegotiation)
        ]
        responses = list(association.send_c_find(dataset, root))
    finally:
        association.release()
    statuses = [status.Status for status, _ in responses]
    return statuses, [found for _, found in responses if found is not None], answered


@pytest.mark.usefixtures("studies")
async def test_pynetdicom_negotiates_and_finds(database):
    dataset = Dataset()
    dataset.QueryRetrieveLevel, dataset.Modality, dataset.SOPInstanceUID = "IMAGE", "MR", ""
    async with serving(database) as server:
        statuses, found, answered = await asyncio.to_thread(
            pynetdicom_finds, server.port, dataset, extended=RELATIONAL
        )
    assert answered == [b"\1\1\1\0\0"]
    assert statuses == [0xFF00, 0]
    assert [one.SOPInstanceUID for one in found] == ["1.2.2.2.1"]


# A name in its own script, character sets that can hold it, and one that can not.
SCRIPTS = {
    "Latin": ("Bück^Jérôme", ["ISO_IR 100", "ISO 2022 IR 100", "ISO_IR 101"], "ISO_IR 144"),
    "Cyrillic": ("Люкceмбypг", ["ISO_IR 144"], "ISO_IR 100"),  # noqa: RUF001
    "Greek": ("Διονυσιος", ["ISO_IR 126"], "ISO_IR 100"),
    "Arabic": ("قباني^لنزار", ["ISO_IR 127"], "ISO_IR 138"),
    "Hebrew": ("שרון^דבורה", ["ISO_IR 138"], "ISO_IR 127"),
    "Japanese": (
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ["\\ISO 2022 IR 87", "ISO 2022 IR 6\\ISO 2022 IR 87\\ISO 2022 IR 149", "GB18030"],
        "ISO_IR 100",
    ),
    "Korean": ("Hong^Gildong=洪^吉洞=홍^길동", ["\\ISO 2022 IR 149"], "\\ISO 2022 IR 87"),
    "Chinese": ("Wang^XiaoDong=王^小东", ["GB18030", "GBK", "\\ISO 2022 IR 58"], "ISO_IR 13"),
}  # fmt: skip
GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


@pytest.mark.parametrize("script", SCRIPTS)
async def test_names_are_asked_and_answered_in_any_set_that_holds_them(
    database, new_instance, put, script
):
    name, charsets, other = SCRIPTS[script]
    groups = dict(zip(GROUPS, name.split("="), strict=False))
    await put(
        new_instance(study="1.2.1", series="1.2.1.1", t00100010=("PN", groups)),
        new_instance(
            study="1.2.2", series="1.2.2.1", t00100010=("PN", {"Alphabetic": "Other^One"})
        ),
    )
    async with workstation(database, syntax=raw.IMPLICIT) as ws:
        for charset in [*charsets, "ISO_IR 192"]:
            terms = charset.split("\\")
            for group, text in groups.items():
                begins = {group: text[:2] + "*"}
                asked = STUDY_KEYS | {"00100010": key("PN", begins)}
                _, answers, _ = await ws.find(asked, charset=terms)
                assert [one["0020000D"]["Value"] for one in answers] == [["1.2.1"]], charset
                assert answers[0]["00100010"]["Value"] == [groups]
                assert answers[0]["00080005"]["Value"] == [term or None for term in terms]
        # In a set that can't hold it, it comes in UTF-8; the others come in the set.
        _, answers, _ = await ws.find(STUDY_KEYS, charset=other.split("\\"))
        said = [one["00080005"]["Value"] for one in answers]
        assert said == [["ISO_IR 192"], [term or None for term in other.split("\\")]]
        assert answers[0]["00100010"]["Value"] == [groups]
        # Who names no set gets ASCII, or UTF-8.
        _, answers, _ = await ws.find(STUDY_KEYS)
        assert [one.get("00080005") for one in answers] == [key("CS", "ISO_IR 192"), None]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_pynetdicom_reads_the_same_names(database, new_instance, put, script):
    name, charsets, other = SCRIPTS[script]
    groups = dict(zip(GROUPS, name.split("="), strict=False))
    await put(new_instance(t00100010=("PN", groups)))
    async with serving(database) as server:
        for charset in [*charsets, other, "ISO_IR 192"]:
            if "IR 58" in charset:
                continue  # of which pydicom knows no escape sequence
            dataset = Dataset()
            dataset.SpecificCharacterSet = charset.split("\\")
            dataset.QueryRetrieveLevel = "STUDY"
            dataset.PatientName = name.split("^")[0] + "*" if charset != other else "*"
            _, (found,), _ = await asyncio.to_thread(pynetdicom_finds, server.port, dataset)
            found.decode()
            assert str(found.PatientName) == name, charset
