"""A DICOMweb service over doubles of the cache, on a real socket of loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientResponse, ClientSession, web
from dicomweb_client.api import DICOMwebClient

from edge.dicom.multipart import MultipartParser, PartData, PartStart, boundary_of
from edge.dicomweb import uri_service
from edge.dicomweb.root import create_root
from edge.dicomweb.server import create_application
from edge.pixels.workers import PixelWorkers
from tests.dicomweb.doubles import (
    Admission,
    Catalogue,
    Deletion,
    Instance,
    Rendering,
    Retrieval,
    Transcoding,
    authorise,
)
from tests.pixels.pool import running

FILES = [
    "CT_small.dcm",  # explicit little endian
    "MR_small_bigendian.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle_2frame.dcm",
    "examples_ybr_color.dcm",  # JPEG, 30 frames
    "rtdose.dcm",  # implicit little endian, 15 frames
    "image_dfl.dcm",  # deflated
    "rtplan.dcm",  # no pixels
    "test-SR.dcm",
]
"""Packaged instances of many kinds."""
AUTHORISED = {"Authorization": "Bearer store"}


async def parts_of(answer: ClientResponse) -> list[tuple[dict[str, str], bytes]]:
    """Headers and body of each part."""
    parser = MultipartParser(boundary_of(answer.headers["Content-Type"]))
    found: list[tuple[dict[str, str], bytearray]] = []
    events = parser.feed(await answer.read())
    parser.finish()
    for event in events:
        if isinstance(event, PartStart):
            found.append((dict(event.headers), bytearray()))
        elif isinstance(event, PartData):
            found[-1][1].extend(event.data)
    return [(headers, bytes(body)) for headers, body in found]


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for something that nobody announces."""
    for _ in range(int(seconds * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")


@dataclass
class Service:
    base: str
    http: ClientSession
    """Sends a token that may read and store, unless told otherwise."""
    retrieval: Retrieval
    catalogue: Catalogue
    admission: Admission
    deletion: Deletion
    transcoding: Transcoding
    rendering: Rendering


@pytest.fixture
async def workers() -> AsyncIterator[PixelWorkers]:
    """Processes that are started when a picture comes."""
    async with running() as pool:
        yield pool


@pytest.fixture
async def service(workers: PixelWorkers) -> AsyncIterator[Service]:
    retrieval, catalogue, admission = Retrieval(), Catalogue(), Admission()
    deletion, transcoding, rendering = Deletion(), Transcoding(), Rendering(retrieval)
    door = create_application(
        retrieval=retrieval,
        rendering=rendering,
        transcoding=transcoding,
        catalogue=catalogue,
        admission=admission,
        deletion=deletion,
        workers=workers,
        authorise=authorise,
        max_request_bytes=24 * 1024 * 1024,
        max_results=100,
    )
    pictures = uri_service.create_application(
        retrieval=retrieval,
        rendering=rendering,
        transcoding=transcoding,
        authorise=authorise,
    )
    root = create_root({"/dicom-web": door, "/wado": pictures})
    runner = web.AppRunner(root, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    base = f"http://{host}:{port}/dicom-web"
    async with ClientSession(headers=AUTHORISED) as http:
        yield Service(base, http, retrieval, catalogue, admission, deletion, transcoding, rendering)
    await runner.cleanup()


@pytest.fixture
def held(service: Service, packaged: Callable[[str], Path]) -> dict[str, Instance]:
    """Those instances, by file name."""
    return {name: service.retrieval.add(packaged(name))[0] for name in FILES}


@pytest.fixture
def client(service: Service) -> DICOMwebClient:
    """A client that others wrote; it blocks, so it is called through ``asyncio.to_thread``."""
    return DICOMwebClient(service.base, headers=AUTHORISED)


@pytest.fixture
def url(service: Service) -> Callable[..., str]:
    """The URL of a resource of an instance: ``url(instance, "frames/1")``."""

    def build(instance: object, rest: str = "", *, level: str = "instance") -> str:
        ref = instance.entry.ref  # type: ignore[attr-defined]  (tests are not type checked)
        path = f"{service.base}/studies/{ref.study_uid}"
        if level != "study":
            path += f"/series/{ref.series_uid}"
        if level == "instance":
            path += f"/instances/{ref.sop_uid}"
        return f"{path}/{rest}" if rest else path

    return build
