"""The history of a study, over the admin API."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import TestClient, TestServer

from edge.admin import api
from edge.admin.edits import edit_routes
from edge.cache.edits import Edits
from edge.dicom.instance import Custody
from edge.dicom.remote import RemoteStudy
from edge.dicomweb.middleware import access
from edge.dicomweb.root import create_root
from edge.index import copies, edits, remote
from tests.dicomweb.doubles import authorise

# An index on a real file.
from tests.index.conftest import database, new_instance, put  # noqa: F401  (fixtures)

READER = {"Authorization": "Bearer read"}


@pytest.fixture
async def client(database):  # noqa: F811  (the fixture of that name)
    door = api.create_application(
        status=lambda: None,
        identity=None,
        middlewares=[access(authorise)],
        routes=edit_routes(Edits(database)),
    )
    async with TestClient(TestServer(create_root({"/api/v1": door}))) as opened:
        yield opened


async def ask(client, study_uid, headers=READER):
    async with client.get(f"/api/v1/studies/{study_uid}/edits", headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_every_edit_is_told_with_what_was_there_before(
    client,
    database,  # noqa: F811
    new_instance,  # noqa: F811
    put,  # noqa: F811
):
    await put(new_instance(custody=Custody.VERIFIED, t00100020=("LO", "P1")))
    await database.write(lambda db: copies.set_roles(db, {"cloud": "primary"}, 1.0))
    for at, value in ((2.0, "P2"), (3.0, "P3")):
        said = {"00100020": {"vr": "LO", "Value": [value]}}
        heard = RemoteStudy("1.2.3", "", said, (), "cloud")
        held = await edits.survey(database, heard)
        await database.write(lambda db, a=at, h=heard, s=held: remote.learn(db, h, a, s))
    status, answer = await ask(client, "1.2.3")
    assert (status, answer["study_uid"]) == (200, "1.2.3")
    told = [
        (
            it["version"],
            it["at"],
            it["archive"],
            it["before"]["00100020"]["Value"],
            it["after"]["00100020"]["Value"],
        )
        for it in answer["edits"]
    ]
    assert told == [(1, 2.0, "cloud", ["P1"], ["P2"]), (2, 3.0, "cloud", ["P2"], ["P3"])]


async def test_a_study_that_was_never_edited_or_is_not_known_has_none(client):
    assert await ask(client, "1.2.9") == (200, {"study_uid": "1.2.9", "edits": []})


async def test_what_is_no_uid_is_refused(client):
    status, problem = await ask(client, "x")
    assert (status, problem["detail"]) == (400, "the study in the path is not a UID (PS3.5 9.1)")


async def test_it_is_for_who_may_read(client):
    assert (await ask(client, "1.2.3", {}))[0] == 401
