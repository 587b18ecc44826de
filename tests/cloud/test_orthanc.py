"""Orthanc's own REST API, where DICOMweb does not do; the contract suite has a real one."""

from __future__ import annotations

import pytest
from aiohttp import web

from edge import config
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.orthanc import OrthancArchive, archive_of
from edge.dicom.instance import InstanceRef
from edge.errors import CloudUnauthorised, CloudUnreachable, InstanceNotFound

REF = InstanceRef("1.2", "1.2.3", "1.2.3.4")


@pytest.fixture
async def rest():
    """What a lookup answers next, and what was deleted."""
    answers, deleted = [], []

    async def lookup(request):
        assert await request.read() == REF.sop_uid.encode()
        return answers.pop(0)

    async def delete(request):
        deleted.append(request.match_info["id"])
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/pacs/tools/lookup", lookup)
    application.router.add_delete("/pacs/instances/{id}", delete)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/pacs/dicom-web/"
    async with archive_of(config.Archive("cloud", url, "orthanc")) as archive:
        yield archive, answers, deleted
    await runner.cleanup()


def found(*kinds):
    return web.json_response(
        [{"ID": f"{kind}-1", "Path": "@elsewhere/", "Type": kind} for kind in kinds]
    )


async def test_an_instance_is_looked_up_and_deleted(rest):
    archive, answers, deleted = rest
    answers += [found("Instance", "Study")]
    await archive.delete_instance(REF)
    assert deleted == ["Instance-1"]


async def test_what_no_lookup_finds_is_not_there(rest):
    archive, answers, _ = rest
    answers += [found("Study")]
    with pytest.raises(InstanceNotFound):
        await archive.delete_instance(REF)


async def test_another_server_in_its_place_is_told_from_it(rest):
    archive, answers, _ = rest
    answers += [web.Response(text="<html>log in</html>"), web.Response(status=403)]
    with pytest.raises(CloudUnreachable, match="no Orthanc"):
        await archive.delete_instance(REF)
    with pytest.raises(CloudUnauthorised):
        await archive.delete_instance(REF)


def test_the_kind_chooses_the_driver():
    kinds = {
        kind: type(archive_of(config.Archive("a", "http://a/b", kind)))
        for kind in ("dicomweb", "orthanc")
    }
    assert kinds == {"dicomweb": DicomwebArchive, "orthanc": OrthancArchive}
