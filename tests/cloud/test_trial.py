"""A person has the way to an archive tested: one walk at a time, whatever becomes of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from edge import config, others
from edge.cloud.findings import Step, Verdict
from edge.cloud.shut import opened
from edge.cloud.trial import Trials
from edge.crypto.secrets import seal_secret
from edge.errors import DecisionRefused, SecretUnopened
from tests.ports import free_port

KEY = bytes(range(32))
LOST = others.Auth("basic", user="u", password=seal_secret("hush", bytes(32)))


@pytest.fixture
def trials():
    nobody = f"http://127.0.0.1:{free_port()}/dicom-web"
    archives = others.Archive("cloud", nobody), others.Archive("second", nobody)
    cloud = config.Cloud((*archives, replace(archives[0], name="lost", auth=LOST)))
    return Trials(cloud.archive, partial(opened, cloud=cloud, key=KEY))


async def test_the_steps_come_one_by_one_until_one_fails(trials):
    async with trials.walk("cloud") as findings:
        found = [finding async for finding in findings]
    assert [one.step for one in found] == [Step.NAME, Step.CONNECT]
    assert [one.verdict for one in found] == [Verdict.PASSED, Verdict.FAILED]


async def test_there_is_one_walk_at_a_time_and_then_another(trials):
    async with trials.walk("cloud"):
        with pytest.raises(DecisionRefused, match="cloud is being tested just now"):
            async with trials.walk("second"):
                pass
    async with trials.walk("second") as findings:
        assert await anext(findings)


async def test_a_walk_that_ends_in_an_error_is_over(trials):
    with pytest.raises(RuntimeError, match="gone"):
        async with trials.walk("cloud"):
            raise RuntimeError("gone")
    async with trials.walk("cloud") as findings:
        assert await anext(findings)


async def test_of_an_archive_that_is_not_there_the_others_are_named(trials):
    with pytest.raises(DecisionRefused) as caught:
        async with trials.walk("nowhere"):
            pass
    assert caught.value.hint == "there are: cloud, second, lost"


async def test_one_that_is_not_set_up_yet_is_walked_to_in_the_same_turn(trials):
    new = others.Archive("new", f"http://127.0.0.1:{free_port()}/dicom-web")
    async with trials.walk_to(new) as findings:
        assert (await anext(findings)).step is Step.NAME
        with pytest.raises(DecisionRefused, match="new is being tested just now"):
            async with trials.walk("cloud"):
                pass


async def test_nobody_walks_to_an_archive_whose_secret_can_not_be_opened(trials):
    with pytest.raises(SecretUnopened, match=r"cloud\.archive\.2\.auth\.password was sealed"):
        async with trials.walk("lost"):
            pass
    async with trials.walk("cloud") as findings:
        assert await anext(findings)
