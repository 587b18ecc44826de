"""Every storage SOP class and every transfer syntax is taken, and comes back as it was sent.

One tiny instance for each, generated here; what stands in its frames is of no matter to anybody.
"""

from __future__ import annotations

import asyncio
import zlib
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID, UID_dictionary
from pynetdicom import AE, AllStoragePresentationContexts

from tests.dimse import raw
from tests.journeys.modality import send
from tests.journeys.viewer import Part10, as_sent
from tests.samples import sample_uid

EXPLICIT = "1.2.840.10008.1.2.1"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
FRAMES = [b"\x01\x02\x03\x04" * 16, b"\x05\x06\x07\x08" * 16]

OLD_PRINT = {f"1.2.840.10008.5.1.1.{number}" for number in (27, 29, 30)}
RETIRED = OLD_PRINT | {
    uid
    for uid, (name, kind, _, retired, _) in UID_dictionary.items()
    if kind == "SOP Class"
    and "Storage" in name
    and (retired or name.startswith(("DICOS", "Eddy")))
    and uid.startswith(("1.2.840.10008.5.1.4.1.1.", "1.2.840.10008.5.1.4.34."))
}
"""And those that the Standard leaves to security screening and to the testing of materials."""
PRIVATE = {
    "1.2.840.113619.4.26": "GE 3D model",
    "1.3.12.2.1107.5.9.1": "Siemens CSA non-image",
    "1.3.46.670589.11.0.0.12.2": "Philips MR series data",
    "1.2.392.200036.9125.1.1.2": "Fuji private CR image",
    "2.25.1234567890": "nobody's",
}

IMPLICIT_ONES = {"1.2.840.10008.1.2", "1.2.840.113619.5.2", "1.2.840.10008.1.20"}
NATIVE_ONES = {*IMPLICIT_ONES, EXPLICIT, "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}
DEFLATED_ONES = {
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.95",
    "1.2.840.10008.1.2.4.205",
}
WITHOUT_PIXELS = {"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.204"} | DEFLATED_ONES - NATIVE_ONES
"""JPIP: the pixels are elsewhere (PS3.5 A.6)."""
NO_DATA_SETS = {"1.2.840.10008.1.2.6.1", "1.2.840.10008.1.2.6.2"}
"""MIME and XML, both retired: nobody ever encoded a data set so for C-STORE."""

STANDARD = sorted(
    uid
    for uid, (_, kind, *_) in UID_dictionary.items()
    if kind == "Transfer Syntax" and uid not in NO_DATA_SETS and ".7." not in uid
)
"""Those of real-time video (PS3.22) carry no stored objects."""
VIDEOS = {syntax for syntax in STANDARD if syntax.startswith("1.2.840.10008.1.2.4.10")}
"""One stream, not frames."""
NAME = {"Alphabetic": "Synthetic^Class"}
PRIVATE_SYNTAXES = ["1.2.840.113619.5.2", "1.3.46.670589.33.1.4.1", "1.2.3.4.5.6.7.8"]


def instance(sop_class: str, number: int, *, pixels: str = "none") -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = sample_uid("sop classes", sop_class, number)
    dataset.StudyDate = "20240229"
    dataset.PatientName = "Synthetic^Class"
    dataset.PatientID = "SYN-CLASS"
    dataset.StudyInstanceUID = sample_uid("sop classes", "study")
    dataset.SeriesInstanceUID = sample_uid("sop classes", "series")
    dataset.InstanceNumber = number
    if pixels != "none":
        dataset.SamplesPerPixel, dataset.NumberOfFrames = 1, 2
        dataset.PhotometricInterpretation = "MONOCHROME2"
        dataset.Rows = dataset.Columns = 8
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit, dataset.PixelRepresentation = 7, 0
        native = pixels == "native"
        dataset.PixelData = b"".join(FRAMES) if native else encapsulate(FRAMES)
        dataset["PixelData"].VR = "OW" if native else "OB"
        dataset["PixelData"].is_undefined_length = not native
    return dataset


def write(path: Path, dataset: Dataset, syntax: str) -> Path:
    """A Part 10 file, in whatever transfer syntax."""
    body = DicomBytesIO()
    body.is_little_endian = syntax != "1.2.840.10008.1.2.2"
    body.is_implicit_VR = syntax in IMPLICIT_ONES
    write_dataset(body, dataset)
    encoded = body.getvalue()
    if syntax in DEFLATED_ONES:
        deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        encoded = deflater.compress(encoded) + deflater.flush()
        encoded += b"\0" * (len(encoded) % 2)  # PS3.5 A.5
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID("1.2.3.4")
    head = DicomBytesIO()
    head.write(bytes(128) + b"DICM")
    write_file_meta_info(head, meta)
    path.write_bytes(head.getvalue() + encoded)
    return path


async def test_every_storage_sop_class_is_taken_retired_and_private_ones_too(open_box, tmp_path):
    known = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    assert len(known) > 150
    assert len(RETIRED) > 20
    paths = [
        write(tmp_path / f"{number}.dcm", instance(sop_class, number), EXPLICIT)
        for number, sop_class in enumerate(sorted(known | RETIRED | PRIVATE.keys()))
    ]
    async with open_box() as box:
        assert await send(box.dimse_port, paths) == {0x0000: len(paths)}
        study = f"/studies/{sample_uid('sop classes', 'study')}"
        assert await box.viewer.instances(study) == as_sent(paths)
        listed = await box.viewer.search(f"{study}/instances", limit=1000)
        assert len({one["00080016"]["Value"][0] for one in listed}) == len(paths)


async def test_what_is_no_object_of_a_patient_is_not_agreed_to(open_box):
    not_taken = [
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.1.2.2.1",  # Study Root FIND, which is no storage at all
    ]
    async with open_box() as box:
        ae = AE("MODALITY")
        for uid in [*not_taken, SECONDARY_CAPTURE]:
            ae.add_requested_context(uid)
        association = await asyncio.to_thread(
            ae.associate, "127.0.0.1", box.dimse_port, ae_title="EDGE"
        )
        refused = {context.abstract_syntax for context in association.rejected_contexts}
        await asyncio.to_thread(association.release)
        assert refused == set(not_taken)


async def test_every_transfer_syntax_is_taken_and_its_frames_are_found(open_box, tmp_path):
    paths = {}
    for number, syntax in enumerate(STANDARD + PRIVATE_SYNTAXES):
        pixels = "native" if syntax in NATIVE_ONES else "encapsulated"
        made = instance(
            SECONDARY_CAPTURE, number, pixels="none" if syntax in WITHOUT_PIXELS else pixels
        )
        paths[syntax] = write(tmp_path / f"{syntax}.dcm", made, syntax)
    study, series = sample_uid("sop classes", "study"), sample_uid("sop classes", "series")
    async with open_box() as box:
        known = [path for syntax, path in paths.items() if syntax in STANDARD]
        assert await send(box.dimse_port, known) == {0x0000: len(known)}
        for syntax in PRIVATE_SYNTAXES:  # which pynetdicom does not propose
            one = Part10.at(paths[syntax])
            async with raw.connected(box.dimse_port) as peer:
                await peer.associate(raw.context_item(3, SECONDARY_CAPTURE, [syntax]))
                peer.store(one.dataset, one.sop_uid, sop_class=SECONDARY_CAPTURE)
                assert await peer.status() == 0x0000
                await peer.release()
        assert await box.viewer.instances(f"/studies/{study}") == as_sent(paths.values())

        metadata = await box.viewer.metadata(f"/studies/{study}")
        assert len(metadata) == len(paths)
        assert all(one["00100010"]["Value"] == [NAME] for one in metadata)
        without_frames = []
        for syntax in paths.keys() - WITHOUT_PIXELS - VIDEOS:
            sop_uid = Part10.at(paths[syntax]).sop_uid
            there = f"/studies/{study}/series/{series}/instances/{sop_uid}"
            if await box.viewer.frames(there, [2, 1]) != FRAMES[::-1]:
                without_frames.append(syntax)
        assert not without_frames
