"""Somebody who was narrowed to some studies, before every door of the box."""

from __future__ import annotations

import re

import httpx

from edge.access.acts import Act, Service
from edge.access.roles import Role
from edge.access.scope import Scope
from edge.access.sessions import Proved, Visitor, cookie_name
from edge.cache.admission import Source
from edge.dicom.instance import Origin
from tests import samples
from tests.attack import doors

OURS = {"Sec-Fetch-Site": "same-origin"}
SHUT = {403, 404}
CT1 = Scope(studies_from=frozenset({"CT1"}))
SHOWS_NOBODY = {"/dicom-web", "/dicom-web/", "/api/v1/status", "/api/v1/openapi.json"}
"""Nothing of any study."""
SEARCH = re.compile(
    r"/dicom-web(/studies/{study})?(/series/{series})?/(studies|series|instances)|/api/v1/studies"
)
"""Where what is not to be seen is not found."""


async def store(box, sender, seed, origin=Origin.DIMSE):
    """An image of a study of its own, sent by somebody; its UIDs."""
    (sample,) = samples.ct_series(1, rows=16, columns=16, seed=seed)
    await box.admission.store_instance(samples.chunks(sample.data), Source(origin, sender))
    return sample.ref


async def session_of(box, name, role, scope):
    """What a browser of ours sends for somebody who is narrowed so."""
    handed = await box.cache.users.add(name, role)
    await box.cache.users.redeem(handed.code, "seven quiet lamps")
    await box.cache.users.change(name, scope=scope)
    proved, visitor = Proved.PASSWORD, Visitor("127.0.0.1", "")
    secret, _ = await box.cache.sessions.open(name, role, proved, visitor)
    return {"Cookie": f"{cookie_name(tls=False)}={secret}", **OURS}


async def proofs(box, scope):
    """Two ways to be narrowed."""
    secret = await box.cache.tokens.create(Role.PHYSICIAN, "a viewer", scope=scope)
    token = {"Authorization": f"Bearer {secret}"}
    return token, await session_of(box, "bert", Role.PHYSICIAN, scope)


def url(door, ref):
    """A door of one instance."""
    values = {
        "study": ref.study_uid,
        "study_uid": ref.study_uid,
        "series": ref.series_uid,
        "instance": ref.sop_uid,
        "frames": "1",
        "path": "7FE00010",
        "ae": "NOBODY",
        "name": "nobody",
        "id": "0123456789ab",
        "link": "0123456789ab",
        "tree": "none",
    }
    path = re.sub(r"{(\w+)[^}]*}", lambda match: values[match[1]], door.path)
    if path == "/wado":
        path += f"?requestType=WADO&studyUID={ref.study_uid}&seriesUID={ref.series_uid}"
        path += f"&objectUID={ref.sop_uid}&contentType=application/dicom"
    return path


async def first_events(client, path, headers):
    """What a stream begins with: how the box is, and which studies came."""
    told = ""
    async with client.stream("GET", path, headers=headers) as stream:
        assert stream.status_code == 200
        async for line in stream.aiter_lines():
            told += line + "\n"
            if told.count("event:") == 2 and not line:
                return told
    raise AssertionError(told)


async def test_curious_no_door_shows_who_was_narrowed_a_study_of_others(box, client):
    ours, theirs = await store(box, "CT1", 1), await store(box, "MR1", 2)
    reading = [
        door
        for door in doors.doors(box.http.application)
        if door.service is not None and door.act is Act.READ and door.method == "GET"
    ]
    for headers in await proofs(box, CT1):
        for door in reading:
            if door.path == "/api/v1/events":
                told = await first_events(client, door.path, headers)
                assert theirs.study_uid not in told
                continue
            answer = await client.get(url(door, theirs), headers=headers)
            if SEARCH.fullmatch(door.path):
                assert theirs.study_uid not in answer.text, door
                assert (ours.study_uid in answer.text) is ("{study}" not in door.path), door
            elif door.path in SHOWS_NOBODY:
                assert answer.status_code == 200, door
                assert theirs.study_uid not in answer.text, door
            elif door.service is Service.DICOMWEB and door.path.startswith("/viewer"):
                assert theirs.study_uid not in answer.text, door  # its files are nobody's
            else:
                assert answer.status_code in SHUT, door


async def test_what_they_may_see_opens_by_every_door_that_names_its_study(box, client):
    ours = await store(box, "CT1", 1)
    for headers in await proofs(box, CT1):
        for door in doors.doors(box.http.application):
            if door.method == "GET" and (door.path == "/wado" or "{study}" in door.path):
                answer = await client.get(url(door, ours), headers=headers)
                assert answer.status_code not in {401, 403, 404}, door


async def test_a_study_that_is_not_to_be_seen_is_as_one_that_is_not_there(box, client):
    theirs = await store(box, "MR1", 2)
    (token, _) = await proofs(box, CT1)
    said = []
    for uid in (theirs.study_uid, "1.2.3.999"):
        answer = await client.get(f"/dicom-web/studies/{uid}/metadata", headers=token)
        problem = answer.json()
        del problem["request_id"]
        said.append((answer.status_code, str(problem).replace(uid, "UID")))
    assert said[0] == said[1]
    assert said[0][0] == 404


async def test_curious_counts_of_a_patient_tell_nothing_of_what_is_hidden(box, client):
    await store(box, "CT1", 1)
    (token, _) = await proofs(box, CT1)
    asked = "includefield=00201200&includefield=00201202&includefield=00201204"
    [found] = (await client.get(f"/dicom-web/studies?{asked}", headers=token)).json()
    assert not found.keys() & {"00201200", "00201202", "00201204"}


async def test_curious_who_stores_into_a_study_of_others_does_not_make_it_theirs(box, client):
    theirs = await store(box, "MR1", 2)
    (sample,) = samples.ct_series(1, rows=16, columns=16, seed=2, series=7)
    scope = Scope(ae_title="CT1", studies_from=frozenset({"CT1"}))
    secret = await box.cache.tokens.create(Role.PHYSICIAN, "a viewer", scope=scope)
    body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + sample.data + b"\r\n--x--"
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": kind}
    for path in ("/dicom-web/studies", f"/dicom-web/studies/{theirs.study_uid}"):
        answer = await client.post(path, content=body, headers=headers)
        assert answer.status_code in SHUT, path
    path = f"/dicom-web/studies/{theirs.study_uid}/metadata"
    assert (await client.get(path, headers=headers)).status_code == 404


async def test_an_archive_of_that_name_is_no_sender(box, client):
    theirs = await store(box, "CT1", 2, Origin.CLOUD)
    (token, _) = await proofs(box, CT1)
    path = f"/dicom-web/studies/{theirs.study_uid}/metadata"
    assert (await client.get(path, headers=token)).status_code == 404


async def test_a_person_is_narrowed_to_services_acts_and_addresses_as_a_token_is(box, client):
    ours = await store(box, "CT1", 1)
    studies = f"/dicom-web/studies/{ours.study_uid}/metadata"
    for number, (scope, status) in enumerate(
        (
            (Scope(services=frozenset({"changefeed"})), 403),
            (Scope(acts=frozenset({Act.STORE})), 403),
            (Scope(networks=("192.0.2.0/24",)), 403),
            (Scope(networks=("127.0.0.0/8",)), 200),
            (Scope(services=frozenset({"dicomweb"}), acts=frozenset({Act.READ})), 200),
        )
    ):
        headers = await session_of(box, f"person{number}", Role.PHYSICIAN, scope)
        assert (await client.get(studies, headers=headers)).status_code == status, scope
        password = httpx.BasicAuth(f"person{number}", "seven quiet lamps")
        assert (await client.get(studies, headers=OURS, auth=password)).status_code == status, scope


async def test_who_is_narrowed_or_let_go_is_so_within_two_seconds(box, client):
    ours = await store(box, "MR1", 1)
    headers = await session_of(box, "bert", Role.PHYSICIAN, Scope())
    path = f"/dicom-web/studies/{ours.study_uid}/metadata"
    assert (await client.get(path, headers=headers)).status_code == 200
    for scope, status in ((CT1, 404), (Scope(), 200)):
        await box.cache.users.change("bert", scope=scope)
        box.cache.sessions.forget()
        assert (await client.get(path, headers=headers)).status_code == status


async def test_who_is_narrowed_has_a_viewer_for_what_they_may_see(box, client):
    for headers in await proofs(box, CT1):
        assert (await client.get("/viewer/plain", headers=headers)).status_code == 200
