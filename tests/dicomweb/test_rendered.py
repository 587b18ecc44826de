"""Rendered resources and thumbnails: at every level, one or many, as they were asked for."""

from __future__ import annotations

import pytest

from edge.errors import PixelBudgetExceeded, PixelWorkersBusy, UndecodablePixels
from edge.pixels.presentation import Presentation, Viewport, Window
from tests import samples
from tests.dicomweb.conftest import parts_of

JPEG, PNG, GIF = "image/jpeg", "image/png", "image/gif"
MANY = f'multipart/related; type="{JPEG}"'
BROWSER = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)


@pytest.fixture
def series(service):
    """Five slices."""
    return service.retrieval.add(*[part.data for part in samples.ct_series(5, rows=16, columns=16)])


def shown(instance, frame):
    return f"{instance.entry.ref.sop_uid}/{frame}".encode()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", JPEG), ("image/*", JPEG), (PNG, PNG), (BROWSER, JPEG), (f"{JPEG};q=0.1,{GIF}", GIF)],
)
async def test_an_image_is_a_picture(service, held, url, accept, kind):
    instance = held["CT_small.dcm"]
    async with service.http.get(url(instance, "rendered"), headers={"Accept": accept}) as answer:
        assert answer.content_type == kind
        assert await answer.read() == shown(instance, 1)


async def test_a_picture_is_made_as_it_is_asked_for(service, held, url):
    query = {"window": "40,400,linear", "viewport": "32,24", "quality": "7", "iccprofile": "srgb"}
    async with service.http.get(url(held["CT_small.dcm"], "rendered"), params=query) as answer:
        assert answer.status == 200
    [(_, _, wanted)] = service.rendering.asked
    assert wanted == Presentation(JPEG, Window(40, 400), Viewport(32, 24), 7, "srgb")


@pytest.mark.parametrize(
    ("rest", "query"),
    [
        ("rendered", {"window": "40"}),
        ("rendered", {"annotation": ""}),
        ("rendered", {"iccprofile": "yes", "accept": GIF}),
        ("frames/1/rendered", {"viewport": "0,0"}),
        ("frames/a/rendered", {}),
        ("thumbnail", {"viewport": "32,32,0,0,1,1"}),
        ("frames/1/thumbnail", {"viewport": "1"}),
    ],
)
async def test_parameters_that_are_not_valid_are_refused(service, held, url, rest, query):
    async with service.http.get(url(held["CT_small.dcm"], rest), params=query) as answer:
        assert answer.status == 400
    assert service.rendering.asked == []


async def test_annotations_are_not_burned_in_and_that_is_said(service, held, url):
    query = {"annotation": "patient"}
    async with service.http.get(url(held["CT_small.dcm"], "rendered"), params=query) as answer:
        assert answer.status == 200
        assert "annotation values are not supported: patient" in answer.headers["Warning"]


async def test_several_frames_are_shown(service, held, url):
    instance = held["rtdose.dcm"]
    for rest, accept, frame in (
        ("rendered", GIF, 0),  # all of them
        ("rendered", JPEG, 8),
        ("frames/3/rendered", GIF, 3),
        ("frames/3/rendered", "*/*", 3),
    ):
        async with service.http.get(url(instance, rest), headers={"Accept": accept}) as answer:
            assert await answer.read() == shown(instance, frame), (rest, accept)


async def test_several_frames_of_a_list_are_parts(service, held, url):
    instance = held["rtdose.dcm"]
    target = url(instance, "frames/9,2-3/rendered")
    for accept in ("*/*", f"multipart/related; type={PNG}"):
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            found = await parts_of(answer)
        assert [body for _, body in found] == [shown(instance, number) for number in (9, 2, 3)]
        assert {headers["content-type"] for headers, _ in found} == {
            JPEG if accept == "*/*" else PNG
        }
    async with service.http.get(target, headers={"Accept": PNG}) as answer:
        assert answer.status == 406


@pytest.mark.parametrize("level", ["study", "series"])
async def test_of_many_each_is_a_part(service, series, url, level):
    target = url(series[0], "rendered", level=level)
    for accept in ("*/*", MANY):
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            assert [body for _, body in await parts_of(answer)] == [shown(one, 1) for one in series]


@pytest.mark.parametrize("level", ["study", "series"])
async def test_without_multipart_one_stands_for_all(service, series, url, level):
    target = url(series[0], "rendered", level=level)
    async with service.http.get(target, headers={"Accept": PNG}) as answer:
        assert answer.content_type == PNG
        assert await answer.read() == shown(series[2], 1)


@pytest.mark.parametrize("level", ["study", "series", "instance"])
async def test_a_thumbnail_is_small_and_one(service, series, url, level):
    async with service.http.get(url(series[2], "thumbnail", level=level)) as answer:
        assert answer.content_type == JPEG
        assert await answer.read() == shown(series[2], 1)
    [(_, _, wanted)] = service.rendering.asked
    assert wanted.viewport == Viewport(200, 200)


async def test_a_thumbnail_of_a_frame_has_the_size_that_was_asked_for(service, held, url):
    target = url(held["rtdose.dcm"], "frames/4/thumbnail")
    async with service.http.get(target, params={"viewport": "64,32"}) as answer:
        assert await answer.read() == shown(held["rtdose.dcm"], 4)
    assert service.rendering.asked[0][2].viewport == Viewport(64, 32)


@pytest.mark.parametrize(
    ("name", "rest", "status"),
    [
        ("rtdose.dcm", "frames/16/rendered", 404),
        ("rtdose.dcm", "frames/1,16/rendered", 404),
        ("rtdose.dcm", "frames/1-999999/rendered", 404),
        ("rtdose.dcm", "frames/16/thumbnail", 404),
        ("rtplan.dcm", "rendered", 406),
        ("rtplan.dcm", "thumbnail", 406),
        ("rtplan.dcm", "frames/1/rendered", 406),
    ],
)
async def test_what_can_not_be_shown(service, held, url, name, rest, status):
    async with service.http.get(url(held[name], rest)) as answer:
        assert answer.status == status


@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm"])
@pytest.mark.parametrize("level", ["study", "instance"])
async def test_where_there_are_no_images_it_is_said_what_there_is(service, held, url, name, level):
    uid = held[name].entry.ref.sop_uid
    for accept in (JPEG, MANY):
        rest = "rendered" if level == "study" else "thumbnail"
        target = url(held[name], rest, level=level)
        async with service.http.get(target, headers={"Accept": f"{accept}, {JPEG}"}) as answer:
            assert answer.status == 406
            hint = (await answer.json(content_type=None))["hint"]
        assert hint.endswith(f"/{uid}/rendered") is (name == "test-SR.dcm")
        assert "application/dicom" in hint or uid in hint


@pytest.mark.parametrize("accept", ["audio/basic", "application/dicom"])
async def test_forms_that_nothing_is_rendered_to(service, held, url, accept):
    for rest in ("rendered", "thumbnail", "frames/1/rendered"):
        target = url(held["CT_small.dcm"], rest)
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            assert answer.status == 406


@pytest.mark.parametrize(
    ("error", "status"), [(PixelBudgetExceeded("huge"), 406), (PixelWorkersBusy("busy"), 503)]
)
async def test_pictures_that_can_not_be_made(service, series, url, error, status):
    service.rendering.failing = error
    for level in ("series", "instance"):
        async with service.http.get(url(series[0], "rendered", level=level)) as answer:
            assert answer.status == status
            assert ("Retry-After" in answer.headers) is (status == 503)


def damage(service, *instances):
    """Instances of which no picture can be made."""
    damaged = {instance.entry.ref.sop_uid for instance in instances}
    whole = service.rendering.frame

    async def frame(entry, number, wanted):
        if entry.ref.sop_uid in damaged:
            raise UndecodablePixels("damaged")
        return await whole(entry, number, wanted)

    service.rendering.frame = frame


@pytest.mark.parametrize("level", ["study", "series"])
async def test_damaged_images_are_left_out_among_many(service, series, url, level):
    damage(service, series[0], series[3])
    async with service.http.get(url(series[0], "rendered", level=level)) as answer:
        found = [body for _, body in await parts_of(answer)]
    assert found == [shown(series[number], 1) for number in (1, 2, 4)]


@pytest.mark.parametrize(("rest", "accept"), [("thumbnail", "*/*"), ("rendered", PNG)])
async def test_another_stands_for_many_if_the_first_choice_is_damaged(
    service, series, url, rest, accept
):
    damage(service, series[2], series[0])
    for level, expected in (("study", 200), ("series", 200), ("instance", 406)):
        target = url(series[2], rest, level=level)
        async with service.http.get(target, headers={"Accept": accept}) as answer:
            assert answer.status == expected
            if expected == 200:
                assert await answer.read() == shown(series[1], 1)


async def test_if_nothing_can_be_shown_the_search_for_a_picture_ends(service, series, url):
    damage(service, *series)
    for rest in ("thumbnail", "rendered"):
        async with service.http.get(url(series[0], rest, level="study")) as answer:
            assert answer.status == 406
            assert "damaged" in (await answer.json(content_type=None))["detail"]


async def test_a_frame_of_a_list_is_never_left_out(service, held, url):
    damage(service, held["rtdose.dcm"])
    async with service.http.get(url(held["rtdose.dcm"], "frames/1-3/rendered")) as answer:
        assert answer.status == 406


@pytest.mark.parametrize("level", ["series", "instance"])
async def test_a_picture_that_is_still_good_is_not_made_again(service, series, url, level):
    target = url(series[0], "rendered", level=level)
    async with service.http.get(target) as answer:
        tag = answer.headers["ETag"]
    service.rendering.asked.clear()
    async with service.http.get(target, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    assert service.rendering.asked == []
    other = {"viewport": "8,8"}
    async with service.http.get(target, headers={"If-None-Match": tag}, params=other) as answer:
        assert answer.status == 200


async def test_head_makes_no_picture(service, series, url):
    for rest, level in (("rendered", "series"), ("rendered", "instance"), ("thumbnail", "study")):
        async with service.http.head(url(series[0], rest, level=level)) as answer:
            assert answer.status == 200
    assert service.rendering.asked == []
