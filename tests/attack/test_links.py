"""Somebody with a link to one study, before every door of the box."""

from __future__ import annotations

import asyncio

from edge.access.acts import Act, Service
from edge.access.audit.entry import Event
from edge.access.audit.search import Asked, search
from edge.access.roles import Role
from edge.access.scope import Scope
from tests.attack import doors
from tests.attack.test_narrowed import OURS, SEARCH, SHUT, session_of, store, url

READ = Act.READ
NO_STUDY = {"/dicom-web", "/dicom-web/"}
"""What the service can do."""


async def made(client, headers, study_uid, **wish):
    answer = await client.post(f"/api/v1/studies/{study_uid}/links", headers=headers, json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def opened(client, link):
    """What a browser sends that opened a link."""
    secret = link["path"].partition("#")[2]
    answer = await client.post("/login/link", headers=OURS, json={"secret": secret})
    assert answer.status_code == 200, answer.text
    client.cookies.clear()
    return answer, {"Cookie": answer.headers["Set-Cookie"].partition(";")[0], **OURS}


async def test_curious_a_link_opens_its_study_and_no_other_door(box, client):
    ours, theirs = await store(box, "CT1", 1), await store(box, "CT1", 2)
    maker = await session_of(box, "anna", Role.PHYSICIAN, Scope())
    answer, headers = await opened(client, await made(client, maker, ours.study_uid))
    assert answer.json()["study_uid"] == ours.study_uid
    found = doors.doors(box.http.application)
    # To log out works; and what a service can do, which OPTIONS says, is of no study.
    every = [one for one in found if one.path != "/logout" and one.method != "OPTIONS"]
    for door in every:
        shown = await client.request(door.method, url(door, theirs), headers=headers)
        if door.service is Service.DICOMWEB and door.path.startswith("/viewer"):
            assert theirs.study_uid not in shown.text, door  # its files are nobody's
        elif SEARCH.fullmatch(door.path) and door.service is Service.DICOMWEB and door.act is READ:
            assert theirs.study_uid not in shown.text, door
            is_found = door.method == "GET" and "{study}" not in door.path
            assert (ours.study_uid in shown.text) is is_found, door
        elif door.service is not None and door.path not in NO_STUDY:
            assert shown.status_code in SHUT, door
        elif door.is_page or (door.path.startswith("/login/") and door.method != "GET"):
            assert shown.status_code in {400, 401, 403, 405}, door
    for door in every:
        is_of_images = door.service is Service.DICOMWEB and door.method == "GET"
        if is_of_images and (door.path == "/wado" or "{study}" in door.path):
            shown = await client.get(url(door, ours), headers=headers)
            assert shown.status_code not in {401, 403, 404}, door


async def test_somebody_with_a_link_is_nobody_where_people_log_in(box, client):
    ours = await store(box, "CT1", 1)
    maker = await session_of(box, "anna", Role.PHYSICIAN, Scope())
    _, headers = await opened(client, await made(client, maker, ours.study_uid))
    for method, path, body in (
        ("GET", "/login", None),
        ("GET", "/login/sessions", None),
        ("GET", "/login/emergency", None),
        ("POST", "/login/emergency", {"reason": "to see all the others"}),
        ("POST", "/login/totp/begin", {"password": ""}),
        ("POST", "/login/password", {"password": "", "new_password": "seven quiet lamps"}),
    ):
        answer = await client.request(method, path, headers=headers, json=body)
        assert answer.status_code == 403, path
    navigating = headers | {"Sec-Fetch-Mode": "navigate"}
    for path in ("/link", "/welcome"):
        assert (await client.get(path, headers=navigating)).status_code == 200, path
    assert (await client.get("/studies", headers=navigating)).status_code == 403


async def test_a_link_is_made_by_who_may_decide_about_that_study(box, client):
    ours, theirs = await store(box, "CT1", 1), await store(box, "MR1", 2)
    narrowed = await session_of(box, "bert", Role.PHYSICIAN, Scope(studies_from=frozenset({"CT1"})))
    looking = await session_of(box, "carl", Role.VIEWER, Scope())
    secret = await box.cache.tokens.create(Role.ADMIN, "a program")
    token = {"Authorization": f"Bearer {secret}"}
    for headers, study_uid, status in (
        (narrowed, ours.study_uid, 200),
        (narrowed, theirs.study_uid, 404),
        (looking, ours.study_uid, 403),
        (token, ours.study_uid, 403),
        (narrowed, "1.2.3.999", 404),
    ):
        path = f"/api/v1/studies/{study_uid}/links"
        answer = await client.post(path, headers=headers, json={})
        assert answer.status_code == status, (answer.text, study_uid)


async def test_a_link_is_in_the_record_from_its_making_to_its_end(box, client):
    ours = await store(box, "CT1", 1)
    maker = await session_of(box, "anna", Role.PHYSICIAN, Scope())
    link = await made(client, maker, ours.study_uid, hours=2, note="Dr. Aalto")
    _, headers = await opened(client, link)
    path = f"/dicom-web/studies/{ours.study_uid}/metadata"
    assert (await client.get(path, headers=headers)).status_code == 200
    ended = f"/api/v1/studies/{ours.study_uid}/links/{link['link_id']}"
    assert (await client.delete(ended, headers=maker)).json() == {"ended": True}
    assert (await client.get(path, headers=headers)).status_code == 401
    wrong = {"secret": link["path"].partition("#")[2]}
    assert (await client.post("/login/link", headers=OURS, json=wrong)).status_code == 401
    found = await asyncio.to_thread(search, box.cache.audit.folder, Asked(), 1000)
    name = f"link {link['link_id']}"
    [making, ending] = [one for one in found if one.event is Event.SECURITY][::-1]
    assert making.actor.name == ending.actor.name == "anna"
    assert making.about.study_uid == ending.about.study_uid == ours.study_uid
    assert (making.detail["note"], making.detail["link_id"]) == ("Dr. Aalto", link["link_id"])
    assert ending.detail["link"] == link["link_id"]
    [came] = [one for one in found if one.event is Event.LOGGED_IN and one.actor.name == name]
    assert came.actor.proof == "link"
    assert link["path"].partition("#")[2] not in repr(found)


async def test_opening_a_link_ends_the_log_in_of_that_browser(box, client):
    ours = await store(box, "CT1", 1)
    maker = await session_of(box, "anna", Role.PHYSICIAN, Scope())
    link = await made(client, maker, ours.study_uid)
    secret = link["path"].partition("#")[2]
    answer = await client.post("/login/link", headers=maker, json={"secret": secret})
    assert answer.status_code == 200
    client.cookies.clear()
    assert (await client.get("/login", headers=maker)).status_code == 401
    # The next act that waits for the disk has all before it written, too.
    again = await session_of(box, "bert", Role.PHYSICIAN, Scope())
    await made(client, again, ours.study_uid)
    asked = Asked(event=Event.LOGGED_OUT)
    [left] = await asyncio.to_thread(search, box.cache.audit.folder, asked, 10)
    assert (left.actor.name, left.what) == ("anna", "/login/link")
