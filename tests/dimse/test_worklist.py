"""The worklist over the wire: findscu and pynetdicom ask, and wlmscpfs answers the same."""

import json
import time
from contextlib import aclosing, asynccontextmanager

import pytest
from pydicom import Dataset

from edge import config
from edge.cache.associations import FINE, Associations
from edge.cache.worklist import StepState, Worklist
from edge.dicom.scheduled import steps_in_file, steps_of
from edge.dimse.messages import CommandField, Element
from edge.dimse.proposal import Proposal
from edge.dimse.requestor import Dialer
from edge.dimse.worklist import worklist_service
from edge.index.database import Database
from edge.others import Peer, WorklistSource
from tests import worklists
from tests.dimse import raw
from tests.worklists import day, find, item, model, pynetdicom_find, save, wlmscpfs

MODALITY_WORKLIST = worklists.MODALITY_WORKLIST
STEP = "ScheduledProcedureStepSequence[0]"
UID = "StudyInstanceUID"
SCANNER = Peer("CT1", may=("store", "worklist"))


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        yield database


def source(name="ris", **fields):
    fields = {"ae_title": "WORKLIST", "host": "127.0.0.1"} | fields
    return WorklistSource(name, "dicom", **fields)


@pytest.fixture
async def worklist(database):
    worklist = Worklist(database, config.Worklist((source(),)))
    await worklist.begin()
    return worklist


@asynccontextmanager
async def serving(worklist, peer=SCANNER, **more):
    more |= {"services": [worklist_service(worklist)], "unknown_peers": "reject", "peer": (peer,)}
    async with raw.serving(**more) as server:
        yield server


def steps(*datasets):
    return [step for one in datasets for step in steps_of(model(one))]


def items():
    """Of today, whenever that is asked."""
    return [
        item(1),
        item(2, name="DOE^JOHN", station="CT1", modality="CT", at="1015"),
        item(3, name="DOE^JACK", station="MR1", modality="MR", at="1330"),
        item(4, name="ROE^RICHARD", station="CT2", modality="CT", when=day(1), at="0800"),
        item(5, name="POE^PAULA", station="CT1", when=day(2), at="2359", physician="CUDDY^LISA"),
        item(6, name="M\u00dcLLER^J\u00dcRGEN", station="US1", modality="US", charset="ISO_IR 100"),
        item(7, name="DOE^JANE", patient="P1", station="CT1", when=day(-1), at="120000"),
    ]


QUERIES = {
    "all": [UID],
    "by station": [UID, f"{STEP}.ScheduledStationAETitle=CT1"],
    "by modality": [UID, f"{STEP}.Modality=MR"],
    "by station and modality": [UID, f"{STEP}.ScheduledStationAETitle=CT1", f"{STEP}.Modality=CT"],
    "by today": [UID, f"{STEP}.ScheduledProcedureStepStartDate={day()}"],
    "by days": [UID, f"{STEP}.ScheduledProcedureStepStartDate={day()}-{day(1)}"],
    "from a day on": [UID, f"{STEP}.ScheduledProcedureStepStartDate={day(1)}-"],
    "up to a day": [UID, f"{STEP}.ScheduledProcedureStepStartDate=-{day()}"],
    "by a time of today": [
        UID,
        f"{STEP}.ScheduledProcedureStepStartDate={day()}",
        f"{STEP}.ScheduledProcedureStepStartTime=1000-1400",
    ],
    "by the name": [UID, "PatientName=DOE^JANE"],
    "by a part of the name": [UID, "PatientName=DOE*"],
    "by a letter that is open": [UID, "PatientName=?OE^*"],
    "by patient ID": [UID, "PatientID=P1"],
    "by accession number": [UID, "AccessionNumber=A4"],
    "by procedure ID": [UID, "RequestedProcedureID=RP5"],
    "by physician": [UID, f"{STEP}.ScheduledPerformingPhysicianName=CUDDY*"],
    "by nothing that is there": [UID, "PatientID=NOBODY"],
    "by a star": [UID, "PatientName=*", f"{STEP}.Modality="],
}
"""What DCMTK understands in the same way; it minds the case of names, and we do not."""


async def test_it_answers_a_matrix_of_queries_as_wlmscpfs_does(worklist, tmp_path):
    paths = [
        save(one, _folder(tmp_path) / f"{number}.wl", implicit=number % 2 == 0)
        for number, one in enumerate(items())
    ]
    await worklist.renew("ris", [s for path in paths for s in steps_in_file(path.read_bytes())])
    seen = {}
    async with wlmscpfs(tmp_path) as theirs, serving(worklist) as server:
        for name, keys in QUERIES.items():
            expected = await find(theirs, tmp_path / "theirs", keys, called="WORKLIST")
            found = await find(server.port, tmp_path / "ours", keys)
            seen[name] = {one.StudyInstanceUID for one in found}
            assert seen[name] == {one.StudyInstanceUID for one in expected}, name
            assert len(found) == len(expected), name
            # They name the set of the file, we that of the answer.
            tags = {frozenset(one.keys()) - {0x00080005} for one in [*found, *expected]}
            assert len(tags) <= 1, name
    assert len(seen["all"]) == len(items())
    assert not seen["by nothing that is there"]
    some = set(QUERIES) - {"all", "by a star", "by nothing that is there"}
    assert all(0 < len(seen[name]) < len(items()) for name in some)


ODD = {
    "a level": "QueryRetrieveLevel=STUDY",
    "a modality of its own": "Modality=MR",
    "an institution": "InstitutionName=CLINIC",
    "a room that no item names": f"{STEP}.ScheduledStationName=CTROOM",
    "a private creator": "0009,0010=FOO",
}


@pytest.mark.parametrize("key", ODD.values(), ids=ODD)
async def test_an_odd_key_leaves_out_nothing_as_with_wlmscpfs(worklist, tmp_path, key):
    paths = []
    for number in (1, 2):
        one = item(number)
        del one.ScheduledProcedureStepSequence[0].ScheduledStationName
        paths.append(save(one, _folder(tmp_path) / f"{number}.wl"))
    await worklist.renew("ris", [s for path in paths for s in steps_in_file(path.read_bytes())])
    async with wlmscpfs(tmp_path) as theirs, serving(worklist) as server:
        expected = await find(theirs, tmp_path / "theirs", [UID, key], called="WORKLIST")
        found = await find(server.port, tmp_path / "ours", [UID, key])
        narrow = await find(server.port, tmp_path / "ours", [UID, key, "PatientID=P2"])
    uids = [one.StudyInstanceUID for one in found]
    assert sorted(uids) == sorted(one.StudyInstanceUID for one in expected)
    assert len(uids) == 2
    assert [one.StudyInstanceUID[-2:] for one in narrow] == [".2"]


async def test_an_answer_says_whether_all_keys_chose(worklist, caplog):
    caplog.set_level("INFO", logger="edge.dimse.worklist")
    await worklist.renew("ris", steps(item(1), item(2, InstitutionName="CLINIC")))
    query = Dataset()
    query.StudyInstanceUID = ""
    query.InstitutionName = "CLINIC"
    async with serving(worklist) as server:
        found = await pynetdicom_find(server.port, query)
        query.InstitutionName = ""
        query.QueryRetrieveLevel = "STUDY"
        odd = await pynetdicom_find(server.port, query)
    assert [status for status, _ in found] == [0xFF01, 0xFF00, 0]
    assert [status for status, _ in odd] == [0xFF01, 0xFF01, 0]
    assert "that no worklist has are ignored: QueryRetrieveLevel" in caplog.text


async def test_the_log_and_the_doctor_name_the_key_that_left_nothing(
    worklist, database, tmp_path, caplog
):
    caplog.set_level("INFO", logger="edge.dimse.worklist")
    book = Associations(database)
    await worklist.renew("ris", steps(item(1), item(2, station="MR1", modality="MR")))
    keys = [UID, f"{STEP}.ScheduledStationAETitle=ct1"]
    async with serving(worklist, associations=book) as server:
        assert await find(server.port, tmp_path / "out", keys) == []
        assert await find(server.port, tmp_path / "out", [UID, "PatientName=NOBODY"]) == []
        await raw.until(lambda: len(book._new) == 3)
        told = {one.kind: one for one in await book.all() if one.about != "PatientName"}
    assert "none of 2 scheduled steps was answered" in caplog.text
    assert 'it asked for station "ct1"; the list has CT1, MR1' in caplog.text
    assert "no step has the PatientName that it asked for" in caplog.text
    assert "NOBODY" not in caplog.text
    assert 'asked for station "ct1"; the list has CT1, MR1' in told["worklist"].what
    assert (told["worklist"].ae_title, told["worklist"].is_known) == ("CT1", True)
    assert FINE in told


async def test_the_day_that_left_nothing_is_named_with_the_days_that_there_are(worklist, caplog):
    caplog.set_level("INFO", logger="edge.dimse.worklist")
    await worklist.renew("ris", steps(item(1, when=day(1))))
    query = Dataset()
    query.ScheduledProcedureStepSequence = [Dataset()]
    query.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate = day()
    async with serving(worklist) as server:
        assert [status for status, _ in await pynetdicom_find(server.port, query)] == [0]
    assert f'it asked for date "{day()}"; the list has {day(1)}' in caplog.text


async def test_a_date_that_is_none_never_reaches_a_scanner(worklist, tmp_path):
    await worklist.renew("ris", steps(item(1), bad_date(2)))
    keys = [UID, f"{STEP}.ScheduledProcedureStepStartDate"]
    async with serving(worklist) as server:
        every = await find(server.port, tmp_path / "out", keys)
        todays = await find(server.port, tmp_path / "out", [keys[0], f"{keys[1]}={day()}"])
    dates = {
        one.StudyInstanceUID[-2:]: one.ScheduledProcedureStepSequence[
            0
        ].ScheduledProcedureStepStartDate
        for one in every
    }
    assert dates == {".1": day(), ".2": ""}
    assert [one.StudyInstanceUID[-2:] for one in todays] == [".1"]
    page = await worklist.page(limit=10, offset=0)
    assert {one.date for one in page.items} == {day(), "29.11.26"}


def bad_date(number):
    found = item(number)
    element = found.ScheduledProcedureStepSequence[0]["ScheduledProcedureStepStartDate"]
    element.validation_mode = 0
    element.value = "29.11.26"
    return found


async def test_a_step_that_was_not_begun_is_scheduled(worklist, tmp_path):
    await worklist.renew("ris", steps(item(1)))
    async with serving(worklist) as server:
        key = f"{STEP}.ScheduledProcedureStepStatus=SCHEDULED"
        assert len(await find(server.port, tmp_path / "out", [UID, key])) == 1


def _folder(tmp_path):
    folder = tmp_path / "WORKLIST"
    folder.mkdir(exist_ok=True)
    return folder


async def test_a_range_of_date_and_time_together_is_one_moment_to_another(worklist, tmp_path):
    await worklist.renew("ris", steps(*items()))
    async with serving(worklist) as server:
        # PS3.4 Table K.6-1: from today 10:00 to tomorrow 08:00, and not 10:00 to 08:00 of each.
        found = await find(
            server.port,
            tmp_path / "out",
            [
                UID,
                f"{STEP}.ScheduledProcedureStepStartDate={day()}-{day(1)}",
                f"{STEP}.ScheduledProcedureStepStartTime=1000-0800",
            ],
        )
    assert [one.StudyInstanceUID.rsplit(".")[-1] for one in found] == ["2", "3", "4"]


async def test_names_match_whatever_their_case_and_come_as_they_were_written(worklist, tmp_path):
    await worklist.renew("ris", steps(*items(), item(8, name="Doe^Jim")))
    async with serving(worklist) as server:
        found = await find(server.port, tmp_path / "out", ["PatientName=doe^j*"])
        umlaut = Dataset()
        umlaut.SpecificCharacterSet = "ISO_IR 100"
        umlaut.PatientName = "m\u00fcller*"
        answers = await pynetdicom_find(server.port, umlaut)
    assert {str(one.PatientName) for one in found} == {
        "DOE^JANE",
        "DOE^JOHN",
        "DOE^JACK",
        "Doe^Jim",
    }
    assert [status for status, _ in answers] == [0xFF00, 0]
    assert str(answers[0][1].PatientName) == "M\u00dcLLER^J\u00dcRGEN"


async def test_only_what_was_asked_for_comes_back(worklist):
    await worklist.renew("ris", steps(item(1, RequestedProcedureComments="look")))
    query = Dataset()
    query.PatientID = ""
    query.PregnancyStatus = None
    query.ReferencedStudySequence = []
    query.ScheduledProcedureStepSequence = [Dataset()]
    query.ScheduledProcedureStepSequence[0].Modality = "CT"
    query.ScheduledProcedureStepSequence[0].PreMedication = ""
    async with serving(worklist) as server:
        (_, answer), (last, _) = await pynetdicom_find(server.port, query)
    assert last == 0
    assert {str(tag) for tag in answer.keys()} == {  # noqa: SIM118 - elements, not keywords
        "(0008,1110)",
        "(0010,0020)",
        "(0010,21C0)",
        "(0040,0100)",
    }
    (step,) = answer.ScheduledProcedureStepSequence
    assert {element.keyword: element.value for element in step} == {
        "Modality": "CT",
        "PreMedication": "",
    }
    assert answer.PatientID == "P1"


async def test_a_sequence_that_is_asked_for_without_keys_comes_whole(worklist):
    await worklist.renew("ris", steps(item(1)))
    query = Dataset()
    query.ScheduledProcedureStepSequence = []
    async with serving(worklist) as server:
        (_, answer), _ = await pynetdicom_find(server.port, query)
    (step,) = answer.ScheduledProcedureStepSequence
    assert step.ScheduledProcedureStepID == "SPS1"
    assert step.ScheduledStationAETitle == "CT1"


async def test_a_code_in_a_sequence_matches_in_one_item(worklist):
    def coded(number, *codes):
        found = item(number)
        found.RequestedProcedureCodeSequence = []
        for value, scheme in codes:
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator = value, scheme
            found.RequestedProcedureCodeSequence.append(code)
        return found

    await worklist.renew(
        "ris", steps(coded(1, ("X1", "A"), ("X2", "B")), coded(2, ("X1", "B")), coded(3))
    )
    query = Dataset()
    query.StudyInstanceUID = ""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator = "X1", "B"
    query.RequestedProcedureCodeSequence = [code]
    async with serving(worklist) as server:
        found = await pynetdicom_find(server.port, query)
    # What has no codes is not told apart by them, and its status says so.
    assert [(status, one.StudyInstanceUID[-2:]) for status, one in found[:-1]] == [
        (0xFF00, ".2"),
        (0xFF01, ".3"),
    ]


async def test_a_peer_without_the_right_is_offered_no_worklist(worklist):
    stranger = config.Dimse(ae_title="US1", artim_seconds=5.0)
    proposal = Proposal(MODALITY_WORKLIST, (raw.EXPLICIT,))
    async with (
        serving(worklist, Peer("US1", may=("store", "query"))) as server,
        Dialer(stranger).associate("127.0.0.1", server.port, "EDGE", [proposal]) as peer,
    ):
        assert peer.find(MODALITY_WORKLIST) is None


@asynccontextmanager
async def asking(port):
    """An association of ours, to ask what no tool asks."""
    scanner = config.Dimse(ae_title="CT1", artim_seconds=5.0, pdu_seconds=20.0)
    proposal = Proposal(MODALITY_WORKLIST, (raw.EXPLICIT,))
    async with Dialer(scanner).associate("127.0.0.1", port, "EDGE", [proposal]) as peer:
        yield peer


async def ask(peer, identifier, sop_class=MODALITY_WORKLIST):
    """The last answer."""
    asked = peer.dialogue.requests(
        peer.find(MODALITY_WORKLIST).context_id,
        CommandField.C_FIND,
        {Element.AFFECTED_SOP_CLASS_UID: sop_class, Element.PRIORITY: 0},
        identifier,
    )
    async with aclosing(asked) as answers:
        *_, last = [answer async for answer in answers]
    return last


@pytest.mark.parametrize(
    ("identifier", "sop_class", "status", "comment"),
    [
        (b"", MODALITY_WORKLIST, 0xA900, "without an identifier"),
        (b"\x10\x00\x20\x00LO", MODALITY_WORKLIST, 0xC000, "ends"),
        (b"\x10\x00\x30\x00DA\x06\x00monday", MODALITY_WORKLIST, 0xA900, "PatientBirthDate"),
        (b"\x10\x00\x20\x00LO\x02\x00P1", "1.2.840.10008.5.1.4.1.2.1.1", 0x0122, "SOP class"),
    ],
)
async def test_what_can_not_be_understood_is_refused_with_a_reason(
    worklist, identifier, sop_class, status, comment, caplog
):
    await worklist.renew("ris", steps(item(1)))
    async with serving(worklist) as server, asking(server.port) as peer:
        answer = await ask(peer, identifier, sop_class)
        assert (answer.status, comment in answer.comment) == (status, True), answer.comment
        assert (await ask(peer, b"\x10\x00\x20\x00LO\x02\x00P9")).status == 0
    assert "monday" not in caplog.text


async def test_a_scanner_that_has_seen_enough_stops_it(worklist):
    await worklist.renew("ris", crowd(2000))
    async with serving(worklist) as server, asking(server.port) as peer:
        answers = peer.dialogue.requests(
            peer.find(MODALITY_WORKLIST).context_id,
            CommandField.C_FIND,
            {Element.AFFECTED_SOP_CLASS_UID: MODALITY_WORKLIST, Element.PRIORITY: 0},
            b"\x10\x00\x20\x00LO\x00\x00",
        )
        first = await anext(answers)
        assert first.is_pending
        await answers.aclose()  # C-CANCEL
        assert peer.is_alive
        assert (await ask(peer, b"\x10\x00\x20\x00LO\x02\x00P9")).status == 0


async def test_what_a_scanner_began_is_left_out_unless_it_is_asked_for(worklist, tmp_path):
    await worklist.renew("ris", steps(*items()))
    begun = items()[0]
    await worklist.set_step_state(str(begun.StudyInstanceUID), "SPS1", StepState.IN_PROGRESS)
    keys = [UID, f"{STEP}.ScheduledProcedureStepStatus"]
    async with serving(worklist) as server:
        usual = await find(server.port, tmp_path / "out", keys)
        asked = await find(server.port, tmp_path / "out", [keys[0], f"{keys[1]}=STARTED"])
    assert begun.StudyInstanceUID not in {one.StudyInstanceUID for one in usual}
    assert len(usual) == len(items()) - 1
    assert [one.StudyInstanceUID for one in asked] == [begun.StudyInstanceUID]
    (step,) = asked[0].ScheduledProcedureStepSequence
    assert step.ScheduledProcedureStepStatus == "STARTED"


def crowd(count):
    """Items of 50 scanners and five days."""
    template = json.dumps(model(item(77_777, station="SCANNER", when="19991231")))
    texts = (
        template.replace("77777", str(number))
        .replace("SCANNER", f"CT{number % 50}")
        .replace("19991231", day(number % 5))
        for number in range(count)
    )
    return [step for text in texts for step in steps_of(json.loads(text))]


async def test_five_thousand_items_are_quick(worklist):
    many = crowd(5000)
    begun = time.monotonic()
    await worklist.renew("ris", many)
    renewed = time.monotonic() - begun
    query = Dataset()
    query.PatientName = ""
    step = Dataset()
    step.ScheduledStationAETitle = "CT5"
    step.ScheduledProcedureStepStartDate = day()
    step.Modality = "CT"
    query.ScheduledProcedureStepSequence = [step]
    async with serving(worklist) as server:
        begun = time.monotonic()
        found = await pynetdicom_find(server.port, query)
        asked = time.monotonic() - begun
    assert len(found) == 101
    begun = time.monotonic()
    assert await worklist.renew("ris", many) == 0
    again = time.monotonic() - begun
    # Generous: others may be at work on this machine.
    assert (renewed < 10, asked < 5, again < 10) == (True, True, True), (renewed, asked, again)


async def test_an_item_that_can_not_be_written_whole_is_answered_in_part(worklist):
    strange = model(item(1))
    strange["00401400"] = {"vr": "LT", "Value": ["fine"]}
    strange["001021C0"] = {"vr": "US", "Value": [70_000]}
    await worklist.renew("ris", steps_of(strange))
    query = Dataset()
    query.PatientID = ""
    query.PregnancyStatus = None
    query.RequestedProcedureComments = ""
    async with serving(worklist) as server:
        (_, answer), (last, _) = await pynetdicom_find(server.port, query)
    assert last == 0
    assert (answer.PatientID, answer.RequestedProcedureComments) == ("P1", "fine")
    assert answer.PregnancyStatus is None
