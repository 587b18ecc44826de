"""Another worklist SCP as a source: wlmscpfs, another edge, and what only seems to be one."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from edge import config
from edge.cache.worklist import Fit, Found, Worklist
from edge.dicom.scheduled import steps_of
from edge.dimse.requestor import Dialer
from edge.dimse.worklist import worklist_service
from edge.dimse.worklist_poll import WorklistPoll
from edge.index.database import Database
from edge.others import Peer, WorklistSource
from tests.dimse import raw
from tests.dimse.pki import Clinic, tls_of
from tests.ports import free_port
from tests.worklists import day, find, item, model, save, wlmscpfs

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
async def serving(worklist, peer=SCANNER, **settings):
    settings = {"unknown_peers": "reject", "peer": (peer,)} | settings
    async with raw.serving(services=[worklist_service(worklist)], **settings) as server:
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


def _folder(tmp_path):
    folder = tmp_path / "WORKLIST"
    folder.mkdir(exist_ok=True)
    return folder


DIMSE = config.Dimse(ae_title="EDGE", artim_seconds=5.0, pdu_seconds=10.0)
DIALER = Dialer(DIMSE)


async def uids(worklist):
    page = await worklist.page(limit=1000, offset=0)
    return {one.study_uid for one in page.items}


async def until(worklist, wanted):
    while await uids(worklist) != wanted:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.05)


def numbers(*wanted):
    return {items()[number - 1].StudyInstanceUID for number in wanted}


async def test_an_upstream_goes_away_and_its_items_stay_until_it_is_back(
    worklist, tmp_path, caplog
):
    for number, one in enumerate(items()):
        save(one, _folder(tmp_path) / f"{number}.wl")
    port = free_port()
    async with wlmscpfs(tmp_path, port):
        poll = WorklistPoll(source(port=port), worklist, DIALER)
        assert await poll.poll()
        assert await uids(worklist) == numbers(1, 2, 3, 4, 5, 6, 7)
        (state, _) = await worklist.sources()
        assert (state.steps, state.error, state.failing_since) == (7, "", None)
    assert not await poll.poll()
    assert await uids(worklist) == numbers(1, 2, 3, 4, 5, 6, 7)
    (state, _) = await worklist.sources()
    assert "can't be reached" in state.error
    assert state.failing_since > state.succeeded
    assert "worklist source ris can't be renewed" in caplog.text
    assert "7 steps are served as of" in caplog.text
    assert not await poll.poll()
    assert caplog.text.count("can't be renewed") == 1
    async with serving(worklist) as server:
        found = await find(server.port, tmp_path / "out", [UID, f"{STEP}.Modality=MR"])
    assert {one.StudyInstanceUID for one in found} == numbers(3)
    for path in _folder(tmp_path).glob("[0-3].wl"):
        path.unlink()
    async with wlmscpfs(tmp_path, port):
        assert await poll.poll()
        assert await uids(worklist) == numbers(5, 6, 7)
        for path in _folder(tmp_path).glob("*.wl"):
            path.unlink()
        assert await poll.poll()
        assert await uids(worklist) == set()
    (state, _) = await worklist.sources()
    assert (state.steps, state.error) == (0, "")


async def test_it_asks_for_its_stations_and_days_only(worklist, tmp_path):
    for number, one in enumerate([*items(), item(8, when=day(9)), item(9, when=day(-3))]):
        save(one, _folder(tmp_path) / f"{number}.wl")
    async with wlmscpfs(tmp_path) as port:
        here = source(port=port, stations=("CT2", "MR1"), days_ahead=1)
        assert await WorklistPoll(here, worklist, DIALER).poll()
        assert await uids(worklist) == numbers(3, 4)
        assert await WorklistPoll(source(port=port), worklist, DIALER).poll()
        assert await uids(worklist) == numbers(1, 2, 3, 4, 5, 6, 7)


async def test_names_in_any_character_set_arrive(worklist, tmp_path):
    names = {
        "ISO_IR 144": "\u041b\u044e\u043ace\u043c\u0431yp\u0433",
        "ISO_IR 126": "\u0394\u03b9\u03bf\u03bd\u03c5\u03c3\u03b9\u03bf\u03c2",
        "ISO_IR 192": "\u738b^\u5c0f\u4e1c",
        "ISO_IR 100": "\u00c4neas^R\u00fcdiger",
    }
    for number, (charset, name) in enumerate(names.items()):
        save(item(number, name=name, charset=charset), _folder(tmp_path) / f"{number}.wl")
    async with wlmscpfs(tmp_path) as port:
        assert await WorklistPoll(source(port=port), worklist, DIALER).poll()
    page = await worklist.page(limit=10, offset=0)
    assert {one.patient_name for one in page.items} == set(names.values())


async def test_an_upstream_that_breaks_off_changes_nothing(worklist):
    await worklist.renew("ris", steps(item(1)))

    class Broken(list):
        def __iter__(self):
            yield from super().__iter__()
            raise OSError("the disk")

    class Breaking:
        today = worklist.today
        page = worklist.page

        async def find(self, _):
            return Found(Broken(model(one) for one in items()[:3]), [Fit.WHOLLY] * 3)

    async with serving(Breaking(), Peer("EDGE", may=("worklist",))) as server:
        here = source(port=server.port, ae_title="EDGE")
        assert not await WorklistPoll(here, worklist, DIALER).poll()
    assert await uids(worklist) == numbers(1)
    (state, _) = await worklist.sources()
    assert state.error == "it refuses the query with status 0110"


async def test_another_edge_is_an_upstream_and_unreadable_answers_cost_themselves(
    worklist, tmp_path
):
    class Upstream:
        async def find(self, identifier):
            answers = [model(one) for one in items()[:2]]
            answers.append({"00100020": {"vr": "LO", "Value": ["no step"]}})
            return Found(answers, [Fit.WHOLLY] * 3)

    async with serving(Upstream(), Peer("EDGE", may=("worklist",))) as server:
        here = source(port=server.port, ae_title="EDGE")
        assert await WorklistPoll(here, worklist, DIALER).poll()
    assert await uids(worklist) == numbers(1, 2)
    (state, _) = await worklist.sources()
    assert len(state.problems) == 1
    assert state.problems[0].startswith("1 answer: it has no Scheduled Procedure Step Sequence")


async def test_flawed_answers_and_those_with_the_ids_of_another_are_counted(worklist):
    dateless, other = model(items()[0]), model(items()[1])
    dateless["00400100"]["Value"][0]["00400002"] = {"vr": "DA"}
    double = {**other, "00100020": {"vr": "LO", "Value": ["P9"]}}

    class Upstream:
        async def find(self, identifier):
            return Found([dateless, other, double], [Fit.WHOLLY] * 3)

    async with serving(Upstream(), Peer("EDGE", may=("worklist",))) as server:
        here = source(port=server.port, ae_title="EDGE")
        assert await WorklistPoll(here, worklist, DIALER).poll()
    assert await uids(worklist) == numbers(1, 2)
    (state, _) = await worklist.sources()
    same = "the Study Instance UID and the Scheduled Procedure Step ID"
    assert state.problems == (
        "1 answer: on the list, but it has no Scheduled Procedure Step Start Date (0040,0002)",
        f"1 answer: left out: it has {same} of another",
    )


async def test_an_upstream_is_asked_over_tls_and_must_show_what_was_said(worklist, tmp_path):
    class Upstream:
        async def find(self, identifier):
            return Found([model(one) for one in items()[:2]], [Fit.WHOLLY, Fit.PARTLY])

    clinic = Clinic(tmp_path / "pki")
    ours, ris = clinic.issue("edge"), clinic.issue("ris.example")
    peer = Peer("EDGE", may=("worklist",), certificate="edge")
    tls = {"tls": tls_of(ris, clinic.ca), "listen": ""}
    dialer = Dialer(DIMSE, tls=tls_of(ours, clinic.ca))
    async with serving(Upstream(), peer, **tls) as server:
        here = source(port=server.tls_port, ae_title="EDGE", tls=True)
        assert not await WorklistPoll(here, worklist, dialer).poll()
        (state, _) = await worklist.sources()
        assert "its certificate is for another name" in state.error
        for certificate in (ris.sha256, "ris.example"):
            asked = replace(here, certificate=certificate)
            assert await WorklistPoll(asked, worklist, dialer).poll()
            assert await uids(worklist) == numbers(1, 2)
        wrong = replace(here, certificate="pacs.example")
        assert not await WorklistPoll(wrong, worklist, dialer).poll()
        (state, _) = await worklist.sources()
        assert "it shows another certificate than is said of the peer" in state.error


async def test_what_is_no_worklist_is_told_in_plain_words(worklist):
    async with raw.serving() as server:
        here = source(port=server.port, ae_title="EDGE")
        assert not await WorklistPoll(here, worklist, DIALER).poll()
        (state, _) = await worklist.sources()
        assert state.error.startswith("it does not offer a Modality Worklist to us")
        there = source(port=server.port, ae_title="WRONG")
        assert not await WorklistPoll(there, worklist, DIALER).poll()
        (state, _) = await worklist.sources()
        assert state.error.startswith("the peer rejected the association: it has another AE title")


async def test_answers_without_an_end_are_given_up(worklist):
    class Upstream:
        async def find(self, identifier):
            await asyncio.Event().wait()

    async with serving(Upstream(), Peer("EDGE", may=("worklist",))) as server:
        here = source(port=server.port, ae_title="EDGE")
        assert not await WorklistPoll(here, worklist, DIALER, longest=0.3).poll()
    (state, _) = await worklist.sources()
    assert state.error == "its answers did not end within 0.3 s"


async def test_it_goes_on_asking(worklist, tmp_path):
    save(items()[0], _folder(tmp_path) / "1.wl")
    async with wlmscpfs(tmp_path) as port:
        poll = WorklistPoll(source(port=port, interval_seconds=0.1), worklist, DIALER)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(poll.run())
            async with asyncio.timeout(60):
                await until(worklist, numbers(1))
                save(items()[1], _folder(tmp_path) / "2.wl")
                await until(worklist, numbers(1, 2))
            task.cancel()
