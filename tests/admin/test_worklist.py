"""Scheduling over the admin API."""

import json

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from edge import config, others
from edge.admin import api
from edge.admin.worklist import worklist_routes
from edge.cache.worklist import Worklist
from edge.dicom.uids import is_uid
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.index.database import Database
from tests.dicomweb.doubles import authorise
from tests.worklists import day, item, model

FORM = {
    "patient_name": "ROE^RICHARD",
    "patient_id": "4711",
    "birth_date": "1970-01-31",
    "sex": "M",
    "modality": "CT",
    "station_ae_title": "CT1",
    "time": "09:15",
    "accession_number": "A77",
    "description": "Chest",
}


@pytest.fixture
async def worklist(tmp_path):
    async with Database(tmp_path / "index.db", bytes(32)) as database:
        source = others.WorklistSource("ris", "dicom", "RIS", "127.0.0.1")
        worklist = Worklist(database, config.Worklist((source,)))
        await worklist.begin()
        yield worklist


@pytest.fixture
async def client(worklist):
    async def no_status():
        raise AssertionError

    door = api.create_application(
        status=no_status,
        identity=None,
        middlewares=[access(authorise)],
        routes=worklist_routes(worklist),
    )
    async with TestServer(create_root({"/api/v1": door})) as server, ClientSession() as session:

        async def ask(method, path="worklist", token="store", **kwargs):
            headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
            url = server.make_url(f"/api/v1/{path}")
            async with session.request(method, url, headers=headers, **kwargs) as answer:
                return answer.status, await answer.json(content_type=None)

        yield ask


async def test_a_form_is_an_item_that_scanners_find(client, worklist):
    status, (added,) = await client("POST", json=FORM)
    assert status == 200
    assert is_uid(added["study_uid"])
    step = {
        "00080060": {"vr": "CS", "Value": ["CT"]},
        "00400001": {"vr": "AE", "Value": ["CT1"]},
        "00400002": {"vr": "DA", "Value": [day()]},
        "00400003": {"vr": "TM"},
        "00400009": {"vr": "SH"},
    }
    asked = {
        "00100010": {"vr": "PN"},
        "00100030": {"vr": "DA"},
        "0020000D": {"vr": "UI"},
        "00400100": {"vr": "SQ", "Value": [step]},
    }
    (answer,) = (await worklist.find(asked)).answers
    (found,) = answer["00400100"]["Value"]
    assert answer["00100010"]["Value"] == [{"Alphabetic": "ROE^RICHARD"}]
    assert answer["00100030"]["Value"] == ["19700131"]
    assert answer["0020000D"]["Value"] == [added["study_uid"]]
    assert found["00400009"]["Value"] == [added["step_id"]]
    assert found["00400003"]["Value"] == ["0915"]


async def test_it_is_listed_and_taken_back(client):
    _, (added,) = await client("POST", json=FORM | {"date": "2999-12-31"})
    _, _ = await client("POST", json=FORM | {"patient_id": "4712"})
    _, page = await client("GET", token="read", params={"date": "2999-12-31"})
    assert (page["total"], page["items"][0]["patient_id"]) == (1, "4711")
    _, page = await client("GET", token="read", params={"limit": "1"})
    assert (page["total"], len(page["items"])) == (2, 1)
    _, sources = await client("GET", "worklist/sources", token="read")
    assert [(one["name"], one["steps"]) for one in sources] == [("ris", 0), ("api", 2)]
    assert await client("DELETE", params={"study_uid": added["study_uid"]}) == (200, {"changed": 1})
    assert await client("DELETE", params={"study_uid": added["study_uid"]}) == (200, {"changed": 0})
    assert (await client("GET", token="read"))[1]["total"] == 1


async def test_the_same_step_again_is_a_correction(client):
    named = FORM | {"study_uid": "1.2.3", "step_id": "S1"}
    assert await client("POST", json=named) == (
        200,
        [{"study_uid": "1.2.3", "step_id": "S1", "flaws": ""}],
    )
    await client("POST", json=named | {"patient_name": "ROE^ROBERT"})
    _, page = await client("GET", token="read")
    assert [one["patient_name"] for one in page["items"]] == ["ROE^ROBERT"]


async def test_items_in_dicom_json_are_taken_as_they_are(client, worklist):
    headers = {"Content-Type": "application/dicom+json"}
    status, added = await client("POST", data=json.dumps(model(item(1))), headers=headers)
    assert (status, added[0]["step_id"]) == (200, "SPS1")
    some = json.dumps([model(item(number)) for number in (2, 3)])
    status, added = await client("POST", data=some, headers=headers)
    assert [one["step_id"] for one in added] == ["SPS2", "SPS3"]
    assert (await worklist.page(limit=10, offset=0)).total == 3


async def test_the_answer_says_what_is_wrong_with_an_item_that_is_taken(client):
    headers = {"Content-Type": "application/dicom+json"}
    whole = model(item(1))
    del whole["00401001"]
    status, (added,) = await client("POST", data=json.dumps(whole), headers=headers)
    assert (status, added["flaws"]) == (200, "it has no Requested Procedure ID (0040,1001)")


async def test_an_item_with_a_date_that_is_none_is_refused(client, worklist):
    headers = {"Content-Type": "application/dicom+json"}
    whole = model(item(1))
    whole["00400100"]["Value"][0]["00400002"]["Value"] = ["31.12.26"]
    status, problem = await client("POST", data=json.dumps(whole), headers=headers)
    assert (status, "Start Date (0040,0002) can't be read" in problem["detail"]) == (400, True)
    assert (await worklist.page(limit=10, offset=0)).total == 0


async def test_two_patients_with_the_same_ids_are_refused_together(client, worklist):
    headers = {"Content-Type": "application/dicom+json"}
    both = json.dumps([model(item(1)), model(item(1, name="ROE^RICHARD"))])
    status, problem = await client("POST", data=both, headers=headers)
    assert (status, "two of them have the same" in problem["detail"]) == (400, True)
    assert (await worklist.page(limit=10, offset=0)).total == 0


async def test_a_list_of_a_day_that_is_none_is_refused_in_words(client):
    status, problem = await client("GET", token="read", params={"date": "29.11.2026"})
    assert status == 400
    assert problem["detail"] == (
        "date can't be understood: it must be year, month and day, such as 2026-11-29"
    )


def nameless(tag):
    whole = model(item(1))
    if tag == "00400009":
        del whole["00400100"]["Value"][0][tag]
    else:
        del whole[tag]
    return whole


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"[1]", b"7", json.dumps(nameless("0020000D")), json.dumps(nameless("00400009")),
     json.dumps(nameless("00400100")), b"[" * 5000, b'{"00400100": {"vr": "SQ", "Value": 7}}'],
)  # fmt: skip
async def test_what_is_no_item_is_refused(client, worklist, body):
    headers = {"Content-Type": "application/dicom+json"}
    status, problem = await client("POST", data=body, headers=headers)
    assert (status, problem["status"]) == (400, 400)
    assert (await worklist.page(limit=10, offset=0)).total == 0


@pytest.mark.parametrize(
    "change",
    [
        {"patient_name": " "},
        {"patient_id": "A\\B"},
        {"modality": "ct"},
        {"station_ae_title": "A\\B"},
        {"station_ae_title": "TOO LONG AN AE TITLE"},
        {"birth_date": "31.1.1970"},
        {"time": "25:00"},
        {"sex": "X"},
        {"study_uid": "1.2.x"},
        {"unknown": 1},
    ],
)
async def test_a_form_that_is_wrong_is_refused(client, change):
    status, problem = await client("POST", json=FORM | change)
    assert (status, "can't be understood" in problem["detail"]) == (400, True)


async def test_who_may_what(client):
    assert (await client("POST", token="read", json=FORM))[0] == 403
    assert (await client("DELETE", token="read"))[0] == 403
    assert (await client("GET", token="none"))[0] == 401
