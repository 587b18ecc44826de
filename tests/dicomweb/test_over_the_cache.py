"""The door over the real cache: what comes in by STOW-RS is found, and leaves as it came in."""

from __future__ import annotations

import asyncio
import base64
import io
import warnings
import zipfile

import pydicom
import pytest
from aiohttp import ClientSession, web
from dicomweb_client.api import DICOMwebClient
from pydicom.encaps import generate_frames

from edge import config
from edge.cache.catalogue import Catalogue
from edge.cache.pictures import PictureCache
from edge.cache.rendering import Rendering
from edge.cache.transcoding import Transcoding
from edge.crypto.sealed import Algorithm
from edge.dicom.remote import RemoteStudy
from edge.dicomweb.root import create_root
from edge.dicomweb.server import create_application
from tests import samples

# A cache of the real parts is built there; this door is put on top of it.
from tests.cache.conftest import open_cache  # noqa: F401  (a fixture)
from tests.dicomweb.conftest import AUTHORISED, parts_of
from tests.dicomweb.doubles import authorise
from tests.dicomweb.test_store import CONTENT_TYPE, message
from tests.pixels.pool import running

AS_STORED = "multipart/related; type=application/dicom; transfer-syntax=*"
FRAMES_AS_STORED = "multipart/related; type=application/octet-stream; transfer-syntax=*"


class Box:
    def __init__(self, base, http, cache):
        self.base, self.http, self.cache = base, http, cache

    async def store(self, *parts, path="/studies"):
        headers = {"Content-Type": CONTENT_TYPE}
        async with self.http.post(
            self.base + path, data=message(*parts), headers=headers
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def json(self, path, **parameters):
        async with self.http.get(self.base + path, params=parameters) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json(content_type=None)

    async def parts(self, path, accept="*/*"):
        async with self.http.get(self.base + path, headers={"Accept": accept}) as answer:
            assert answer.status == 200, await answer.text()
            return await parts_of(answer)


@pytest.fixture
async def box(open_cache, tmp_path):  # noqa: F811  (the fixture of that name)
    async with open_cache() as cache, running() as workers:
        pictures = PictureCache(
            config.Cache(reserve_bytes=0), tmp_path, cache.keys, Algorithm.AES_256_GCM
        )
        door = create_application(
            retrieval=cache.retrieval,
            rendering=Rendering(cache.retrieval, workers, pictures),
            transcoding=Transcoding(workers),
            catalogue=Catalogue(cache.database),
            admission=cache.admission,
            deletion=cache.deletion,
            workers=workers,
            authorise=authorise,
        )
        runner = web.AppRunner(
            create_root({"/dicom-web": door}), access_log=None, shutdown_timeout=0.5
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        async with ClientSession(headers=AUTHORISED) as http:
            yield Box(f"http://{host}:{port}/dicom-web", http, cache)
        await runner.cleanup()


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


def place(dataset):
    study, series = dataset.StudyInstanceUID, dataset.SeriesInstanceUID
    return f"/studies/{study}/series/{series}/instances/{dataset.SOPInstanceUID}"


async def test_every_packaged_instance_comes_back_byte_for_byte(box):
    paths = samples.distinct_files()
    status, answer = await box.store(*[path.read_bytes() for path in paths])
    assert status == 200, answer.get("00081198", answer.get("0008119A"))
    assert len(answer["00081199"]["Value"]) == len(paths)
    for path in paths:
        [(headers, body)] = await box.parts(place(read(path)), AS_STORED)
        assert body == path.read_bytes(), path
        assert headers["content-type"].startswith("application/dicom; transfer-syntax=")


async def test_metadata_names_bulk_values_that_can_be_read(box):
    paths = samples.distinct_files()
    await box.store(*[path.read_bytes() for path in paths])
    followed = 0
    for path in paths:
        dataset = read(path)
        [found] = await box.json(f"{place(dataset)}/metadata")
        assert found["00080018"]["Value"] == [dataset.SOPInstanceUID]
        for url, element in bulk_values(found, dataset):
            assert url.startswith(f"{box.base}{place(dataset)}/bulkdata/")
            if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                continue
            async with box.http.get(url) as answer:
                assert answer.status == 200
                assert await answer.read() == element.value
            followed += 1
    assert followed > 20


async def test_what_was_edited_in_the_archive_is_shown_and_the_instance_is_as_it_came(box):
    path = samples.packaged_file("reportsi.dcm")
    await box.store(path.read_bytes())
    report = read(path)
    here, study = place(report), str(report.StudyInstanceUID)
    seen = {}

    async def ask(what, accept):
        headers = {"Accept": accept, "If-None-Match": seen.get((what, accept), "")}
        async with box.http.get(f"{box.base}{here}{what}", headers=headers) as answer:
            seen[what, accept] = answer.headers["ETag"]
            return answer.status, await answer.text(errors="replace")

    async def medium():
        accept = {"Accept": "application/zip; transfer-syntax=*"}
        async with box.http.get(f"{box.base}/studies/{study}", headers=accept) as answer:
            with zipfile.ZipFile(io.BytesIO(await answer.read())) as files:
                directory = pydicom.dcmread(io.BytesIO(files.read("DICOMDIR")))
                [file] = [files.read(it) for it in files.namelist() if it.startswith("DICOM/")]
        return answer.headers["ETag"], directory.DirectoryRecordSequence[0].PatientName, file

    described = [
        ("/metadata", "application/dicom+json"),
        ("/metadata", "application/dicom+xml"),
        ("/rendered", "text/html"),
        ("/rendered", "text/plain"),
        ("/rendered", "text/xml"),
    ]
    stored = ("", "application/dicom; transfer-syntax=*")
    for what in (*described, stored):
        assert (await ask(*what))[0] == 200
        assert (await ask(*what))[0] == 304
    before = await medium()
    name = {"vr": "PN", "Value": [{"Alphabetic": "Corrected^Name"}]}
    await box.cache.ledger.set_roles({"cloud": "primary"})
    await box.cache.database.write(
        lambda db: db.execute("UPDATE instances SET custody = 'VERIFIED'")
    )
    await box.cache.ledger.learn(RemoteStudy(study, "", {"00100010": name}, (), "cloud"))
    for what in described:
        status, text = await ask(*what)
        assert status == 200
        assert "Corrected" in text, what
        assert (await ask(*what))[0] == 304
    assert (await ask(*stored))[0] == 304
    # The directory of a medium names the patient; its files are as they came.
    after = await medium()
    assert [*after[1:]] == ["Corrected^Name", path.read_bytes()] != [*before[1:]]
    assert after[0] != before[0]
    [(_, body)] = await box.parts(here, AS_STORED)
    assert body == path.read_bytes()


def bulk_values(found, dataset):
    for tag, value in found.items():
        if "BulkDataURI" in value:
            yield value["BulkDataURI"], dataset[tag]
        elif value["vr"] == "SQ":
            for item, inner in zip(value.get("Value", []), dataset[tag].value, strict=True):
                yield from bulk_values(item, inner)


async def test_frames_are_those_that_pydicom_finds(box):
    checked = 0
    for path in samples.distinct_files():
        dataset = read(path)
        if "PixelData" not in dataset or path.name == "badVR.dcm":
            continue
        count = int(dataset.get("NumberOfFrames") or 1)
        if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
            frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
        elif dataset.BitsAllocated > 1:
            subsampled = dataset.PhotometricInterpretation == "YBR_FULL_422"
            samples_each = 2 if subsampled else dataset.SamplesPerPixel
            size = dataset.Rows * dataset.Columns * samples_each * dataset.BitsAllocated // 8
            frames = [dataset.PixelData[i * size : (i + 1) * size] for i in range(count)]
        else:
            continue
        await box.store(path.read_bytes())
        listed = ",".join(str(number + 1) for number in range(count))
        found = await box.parts(f"{place(dataset)}/frames/{listed}", FRAMES_AS_STORED)
        assert [body for _, body in found] == frames, path
        checked += 1
    assert checked > 40


async def test_what_was_stored_is_found_on_all_levels(box):
    slices = list(samples.ct_series(3))
    await box.store(*[part.data for part in slices])
    study, series = slices[0].ref.study_uid, slices[0].ref.series_uid
    dataset = pydicom.dcmread(io.BytesIO(slices[0].data))
    [found] = await box.json("/studies", PatientID=dataset.PatientID, includefield="all")
    assert found["0020000D"]["Value"] == [study]
    assert found["00201208"]["Value"] == [3]
    assert found["00081190"]["Value"] == [f"{box.base}/studies/{study}"]
    assert found["00080056"]["Value"] == ["ONLINE"]
    for path in ("/series", f"/studies/{study}/series"):
        [found] = await box.json(path, Modality="CT")
        assert found["00081190"]["Value"] == [f"{box.base}/studies/{study}/series/{series}"]
    for path in (
        "/instances",
        f"/studies/{study}/instances",
        f"/studies/{study}/series/{series}/instances",
    ):
        found = await box.json(path)
        assert {item["00081190"]["Value"][0] for item in found} == {
            f"{box.base}/studies/{study}/series/{series}/instances/{part.ref.sop_uid}"
            for part in slices
        }
    assert await box.json("/studies", PatientID="nobody") == []


async def test_a_study_and_its_metadata_leave_whole(box):
    slices = list(samples.ct_series(20))
    await box.store(*[part.data for part in slices])
    path = f"/studies/{slices[0].ref.study_uid}"
    found = await box.parts(path)
    assert [body for _, body in found] == [part.data for part in slices]
    found = await box.json(f"{path}/metadata")
    assert [item["00080018"]["Value"][0] for item in found] == [part.ref.sop_uid for part in slices]


async def test_parts_that_can_not_be_kept_are_told_apart(box, packaged):
    ct = packaged("CT_small.dcm").read_bytes()
    status, answer = await box.store(ct[:20_000], b"nothing", ct)
    assert status == 202
    [failed] = answer["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert failed["00081155"]["Value"] == [str(read(io.BytesIO(ct)).SOPInstanceUID)]
    assert answer["0008119A"]["Value"][0]["00081197"]["Value"] == [0xC000]
    assert len(answer["00081199"]["Value"]) == 1
    status, answer = await box.store(ct, path="/studies/1.2.3")
    assert status == 409
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


async def test_other_bytes_of_the_same_uid_are_kept_and_reported(box, packaged):
    ct = packaged("CT_small.dcm").read_bytes()
    assert (await box.store(ct))[0] == 200
    assert (await box.store(ct))[0] == 200
    status, answer = await box.store(ct.replace(b"GE MEDICAL", b"XX MEDICAL"))
    assert status == 202
    assert answer["00081199"]["Value"][0]["00081196"]["Value"] == [0x0111]
    [(_, body)] = await box.parts(place(read(io.BytesIO(ct))))
    assert body == ct


async def test_a_value_that_stands_in_the_metadata_can_be_read_as_bulk(box, packaged):
    path = packaged("examples_palette.dcm")
    await box.store(path.read_bytes())
    dataset = read(path)
    [found] = await box.json(f"{place(dataset)}/metadata")
    inline = base64.b64decode(found["00281201"]["InlineBinary"])
    async with box.http.get(f"{box.base}{place(dataset)}/bulkdata/00281201") as answer:
        assert await answer.read() == inline == dataset.RedPaletteColorLookupTableData


async def test_another_client_stores_searches_and_retrieves(box, packaged):
    client = DICOMwebClient(box.base, headers=AUTHORISED)
    dataset = read(packaged("CT_small.dcm"))
    await asyncio.to_thread(client.store_instances, [dataset])
    [found] = await asyncio.to_thread(
        client.search_for_studies, search_filters={"PatientName": "compressedsamples*"}
    )
    assert found["0020000D"]["Value"] == [dataset.StudyInstanceUID]
    [back] = await asyncio.to_thread(client.retrieve_study, dataset.StudyInstanceUID)
    assert back.PixelData == dataset.PixelData
    [metadata] = await asyncio.to_thread(client.retrieve_study_metadata, dataset.StudyInstanceUID)
    url = metadata["7FE00010"]["BulkDataURI"]
    assert await asyncio.to_thread(client.retrieve_bulkdata, url) == [dataset.PixelData]


async def test_an_instance_that_is_too_long_is_told_which_setting_says_so(box):
    small, large = samples.ct_series(2)
    box.cache.admission.max_instance_bytes = 1000
    status, answer = await box.store(large.data)
    assert status == 413
    [failed] = answer["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC000]
    assert "cache.max_instance_bytes" in failed["00091001"]["Value"][0]

    async def unannounced():
        yield large.data

    url, headers = f"{box.base}/studies", {"Content-Type": "application/dicom"}
    async with box.http.post(url, data=unannounced(), headers=headers) as answered:
        assert answered.status == 413
    box.cache.admission.max_instance_bytes = len(small.data)
    status, answer = await box.store(small.data, large.data + bytes(8))
    assert status == 202
    assert answer["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]


async def test_a_sop_class_of_another_service_is_refused_as_by_dimse(box):
    (sample,) = samples.ct_series(1)
    ct, verification = b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.1.1"
    status, answer = await box.store(sample.data.replace(ct, verification.ljust(len(ct), b"\0")))
    assert status == 409
    [failed] = answer["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0x0122]
    assert "SOP class" in failed["00091001"]["Value"][0]


async def test_a_data_set_without_its_envelope_is_told_how_to_come(box):
    (sample,) = samples.ct_series(1)
    _, answer = await box.store(sample.data[132:])
    assert "preamble" in answer["0008119A"]["Value"][0]["00091001"]["Value"][0].split("(")[1]
