"""DELETE: who may, what is asked of the cache, and what is answered."""

from __future__ import annotations

import pytest

from edge.errors import DeletionRefused, InstanceDeleted, InstanceNotFound

DELETE = {"Authorization": "Bearer delete"}
STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.4", "1.2.3.4.5"
PATHS = {
    f"/studies/{STUDY}": (STUDY, None, None),
    f"/studies/{STUDY}/series/{SERIES}": (STUDY, SERIES, None),
    f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}": (STUDY, SERIES, INSTANCE),
}


async def delete(service, path, headers=DELETE):
    async with service.http.delete(service.base + path, headers=headers) as answer:
        body = await answer.read()
        return answer.status, await answer.json(content_type=None) if body else None


@pytest.mark.parametrize(("path", "target"), PATHS.items())
async def test_each_level_is_deleted_by_who_may(service, path, target):
    assert await delete(service, path) == (204, None)
    assert service.deletion.asked == [(target, False, False)]


async def test_what_exists_only_here_and_the_archive_are_meant_only_if_said_so(service):
    await delete(service, f"/studies/{STUDY}?only-copy=true&archive=false")
    await delete(service, f"/studies/{STUDY}?archive=true")
    assert [asked[1:] for asked in service.deletion.asked] == [(True, False), (False, True)]


@pytest.mark.parametrize("query", ["only-copy=yes", "only_copy=true", "archive="])
async def test_a_parameter_that_is_not_understood_deletes_nothing(service, query):
    status, problem = await delete(service, f"/studies/{STUDY}?{query}")
    assert status == 400
    assert "patient" not in str(problem)
    assert not service.deletion.asked


@pytest.mark.parametrize(
    "condition",
    [
        {"If-Match": '"bytes"'},
        {"If-None-Match": "*"},
        {"If-Unmodified-Since": "Tue, 14 Nov 2023 22:13:20 GMT"},
    ],
)
async def test_a_condition_that_can_not_be_checked_deletes_nothing(service, condition):
    status, problem = await delete(service, f"/studies/{STUDY}", DELETE | condition)
    assert status == 412
    assert next(iter(condition)) in problem["hint"]
    assert not service.deletion.asked


async def test_whatever_is_there_may_be_deleted(service):
    assert (await delete(service, f"/studies/{STUDY}", DELETE | {"If-Match": "*"}))[0] == 204


@pytest.mark.parametrize("role", ["read", "store"])
async def test_other_roles_may_not(service, role):
    headers = {"Authorization": f"Bearer {role}"}
    assert (await delete(service, f"/studies/{STUDY}", headers))[0] == 403
    assert not service.deletion.asked


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InstanceDeleted("it was deleted before"), 410),
        (InstanceNotFound("it is not here"), 404),
        (DeletionRefused("it may exist only here", hint="say only-copy=true"), 409),
    ],
)
async def test_what_can_not_be_deleted_is_answered_with_a_reason(service, error, status):
    service.deletion.fail_with = error
    answered, problem = await delete(service, f"/studies/{STUDY}")
    assert (answered, problem["detail"]) == (status, str(error))
    assert problem.get("hint", "") == error.hint


async def test_all_studies_at_once_can_not_be_deleted(service):
    assert (await delete(service, "/studies"))[0] == 405
