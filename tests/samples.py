"""What the tests and the benchmark send: pydicom's packaged files and synthetic instances.

Owns the answer to "which packaged files are legal instances", with the reason for each that is
not. Synthetic instances are a function of their seed, so two runs send the same bytes; they name
no real person. Never downloads anything.
"""

from __future__ import annotations

import functools
import hashlib
import io
import random
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pydicom
import pydicom.data
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence

from edge.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge.dicom.instance import InstanceRef
from edge.dicom.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
)

__all__ = [
    "ILLEGAL",
    "Slice",
    "alike",
    "chunks",
    "ct_series",
    "dicomdir_media",
    "distinct_files",
    "legal_files",
    "multiframe",
    "packaged_file",
    "packaged_files",
    "sample_uid",
    "write_multiframe",
    "write_series",
]

_KEPT_PIXELS = 128 * 1024
"""Of a series that is not made anew each time."""
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
MULTIFRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"

_PACKAGED = Path(pydicom.data.__file__).parent
_FOLDERS = ("test_files", "charset_files")
_NO_META = "has no preamble and no file meta information (PS3.10 7.1)"
_NO_STUDY = "has no Study and Series Instance UID"
_NO_UIDS = "has none of the UIDs that name an instance"
_TRUNCATED = "ends before its data set does"

ILLEGAL = {
    "ExplVR_BigEndNoMeta.dcm": _NO_META,
    "ExplVR_LitEndNoMeta.dcm": _NO_META,
    "JPEGLSNearLossless_08.dcm": _NO_STUDY,
    "JPEGLSNearLossless_16.dcm": _NO_STUDY,
    "MR_truncated.dcm": _TRUNCATED,
    "SC_rgb_jls_lossy_line.dcm": _NO_STUDY,
    "SC_rgb_jls_lossy_sample.dcm": _NO_STUDY,
    "UN_sequence.dcm": _NO_UIDS,
    "chrSQEncoding.dcm": _NO_UIDS,
    "chrSQEncoding1.dcm": _NO_UIDS,
    "empty_charset_LEI.dcm": _NO_UIDS,
    "meta_missing_tsyntax.dcm": _NO_UIDS,
    "nested_priv_SQ.dcm": _NO_UIDS,
    "no_meta.dcm": _NO_META,
    "no_meta_group_length.dcm": _NO_UIDS,
    "priv_SQ.dcm": _NO_UIDS,
    "rtplan_truncated.dcm": _TRUNCATED,
    "rtstruct.dcm": _NO_META,
}
"""Packaged files that look like instances and are none, by name: the reason for each."""


def packaged_files() -> list[Path]:
    """Every file that pydicom packages for tests, DICOM or not."""
    found = [path for folder in _FOLDERS for path in (_PACKAGED / folder).rglob("*")]
    return sorted(path for path in found if path.is_file())


def packaged_file(name: str) -> Path:
    """One packaged file by its name (``CT_small.dcm``) or its path in the folder.

    Raises:
        LookupError: None or several have that name.
    """
    found = [path for path in packaged_files() if path.as_posix().endswith(f"/{name}")]
    if len(found) != 1:
        raise LookupError(f"{len(found)} packaged files are called {name}")
    return found[0]


def dicomdir_media() -> Path:
    """A folder laid out as removable media are (PS3.10 8.6): a DICOMDIR and what it lists."""
    return _PACKAGED / "test_files" / "dicomdirtests"


@functools.cache
def legal_files() -> tuple[Path, ...]:
    """Every packaged file that is a complete instance in Part 10 form: the edge must take it.

    Several share a SOP Instance UID with other bytes; `distinct_files` has one of each.
    """
    return tuple(
        path
        for path in packaged_files()
        if path.name not in ILLEGAL
        and not path.name.startswith("DICOMDIR")
        and path.read_bytes()[128:132] == b"DICM"
    )


@functools.cache
def distinct_files() -> tuple[Path, ...]:
    """The first legal file of every SOP Instance UID."""
    seen: dict[str, Path] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's opinion of these files is known
        for path in legal_files():
            uid = str(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
            seen.setdefault(uid, path)
    return tuple(seen.values())


def sample_uid(*parts: object) -> str:
    """A UID that is a function of *parts* (of the UUID-derived form, PS3.5 B.2)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16]) | 1 << 127}"


@dataclass(frozen=True, slots=True)
class Slice:
    """One synthetic instance: a complete Part 10 file in memory."""

    ref: InstanceRef
    sop_class_uid: str
    transfer_syntax: str
    data: bytes


def ct_series(
    slices: int,
    *,
    rows: int = 512,
    columns: int = 512,
    seed: int = 0,
    series: int = 1,
    pixels: Literal["random", "smooth"] = "random",
    transfer_syntax: str = EXPLICIT_VR_LITTLE_ENDIAN,
) -> Iterator[Slice]:
    """A CT series of 16-bit slices with the header of a usual scanner (some 120 elements).

    Args:
        slices: How many instances.
        rows: Height in pixels.
        columns: Width in pixels.
        seed: Another seed is another patient and study.
        series: Number of the series in that study.
        pixels: ``random`` can't be compressed, ``smooth`` can.
        transfer_syntax: One of the native ones, or deflated.
    """
    make = _kept_series if slices * rows * columns <= _KEPT_PIXELS else _new_series
    return iter(make(slices, rows, columns, seed, series, pixels, transfer_syntax))


def _new_series(
    slices: int,
    rows: int,
    columns: int,
    seed: int,
    series: int,
    pixels: str,
    transfer_syntax: str,
) -> Iterator[Slice]:
    study_uid, series_uid = sample_uid(seed, "study"), sample_uid(seed, "series", series)
    frame = _smooth_pixels(rows * columns * 2) if pixels == "smooth" else b""
    noise = random.Random(f"{seed}/{series}")
    dataset = None
    for number in range(1, slices + 1):
        ref = InstanceRef(study_uid, series_uid, sample_uid(seed, series, "slice", number))
        dataset = dataset or _ct_header(seed, series, ref, rows, columns)
        _place(dataset, number, ref)
        if pixels == "smooth":
            dataset.PixelData = frame[number * 2 :] + frame[: number * 2]
        else:
            dataset.PixelData = noise.randbytes(rows * columns * 2)
        data = _part10(dataset, transfer_syntax)
        yield Slice(ref, CT_IMAGE_STORAGE, transfer_syntax, data)


@functools.lru_cache(maxsize=64)
def _kept_series(*wanted: Any) -> tuple[Slice, ...]:
    """Made once: thousands of tests want the same few small ones."""
    return tuple(_new_series(*wanted))


def alike(part: Slice, count: int) -> Iterator[Slice]:
    """So many instances that differ from *part* in their SOP Instance UIDs only; made fast."""
    old = part.ref.sop_uid
    for number in range(count):
        uid = sample_uid(old, "alike", number)
        assert len(uid) == len(old)
        data = part.data.replace(old.encode(), uid.encode())
        ref = InstanceRef(part.ref.study_uid, part.ref.series_uid, uid)
        yield Slice(ref, part.sop_class_uid, part.transfer_syntax, data)


def write_series(
    folder: Path,
    slices: int,
    *,
    rows: int = 512,
    columns: int = 512,
    seed: int = 0,
    series: int = 1,
    pixels: Literal["random", "smooth"] = "random",
    transfer_syntax: str = EXPLICIT_VR_LITTLE_ENDIAN,
) -> list[Path]:
    """Write what `ct_series` makes into *folder*, which is created; ``0001.dcm`` and on."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    made = ct_series(
        slices,
        rows=rows,
        columns=columns,
        seed=seed,
        series=series,
        pixels=pixels,
        transfer_syntax=transfer_syntax,
    )
    for number, item in enumerate(made, 1):
        path = folder / f"{number:04}.dcm"
        path.write_bytes(item.data)
        paths.append(path)
    return paths


_FRAME_SIDE = 1024
_FRAME_BYTES = _FRAME_SIDE * _FRAME_SIDE * 2


def multiframe(size: int, *, seed: int = 0) -> tuple[InstanceRef, Iterator[bytes]]:
    """One native multi-frame object of about *size* bytes, as pieces of 1 MiB at the most.

    Raises:
        ValueError: It would not fit the 32-bit length of native Pixel Data (PS3.5 7.1.1).
    """
    frames = max(1, size // _FRAME_BYTES)
    if frames * _FRAME_BYTES > 0xFFFF_FFFE:
        raise ValueError(f"{size} bytes do not fit one native Pixel Data element")
    ref = InstanceRef(*(sample_uid(seed, "multiframe", kind) for kind in ("st", "se", "sop")))
    return ref, _multiframe_pieces(ref, seed, frames)


def write_multiframe(path: Path, size: int, *, seed: int = 0) -> InstanceRef:
    """Stream what `multiframe` makes to *path*; memory stays small, whatever the size."""
    ref, pieces = multiframe(size, seed=seed)
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
    return ref


async def chunks(data: bytes, size: int = 65536) -> AsyncIterator[bytes]:
    """*data* in pieces of *size* bytes, as the doors hand it to the cache."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _multiframe_pieces(ref: InstanceRef, seed: int, frames: int) -> Iterator[bytes]:
    dataset = _identity(seed, ref, MULTIFRAME_GRAYSCALE_WORD_SECONDARY_CAPTURE)
    dataset.Modality = "OT"
    dataset.ConversionType = "SYN"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.PageNumberVector = list(range(1, frames + 1))
    dataset.FrameIncrementPointer = 0x00182001
    dataset.NumberOfFrames = frames
    _grayscale(dataset, _FRAME_SIDE, _FRAME_SIDE)
    yield _part10(dataset, EXPLICIT_VR_LITTLE_ENDIAN)
    # The header of Pixel Data (PS3.5 7.1.2), then its frames.
    yield b"\xe0\x7f\x10\x00OW\x00\x00" + (frames * _FRAME_BYTES).to_bytes(4, "little")
    noise = random.Random(seed).randbytes(1024 * 1024)
    for frame in range(frames):
        # Each frame begins with its own number, so that a test can tell one from another.
        yield frame.to_bytes(8, "little") + noise[8:]
        yield noise


def _part10(dataset: Dataset, transfer_syntax: str) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax)
    meta.ImplementationClassUID = pydicom.uid.UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _smooth_pixels(length: int) -> bytes:
    ramp = b"".join(
        (value * 8).to_bytes(2, "little") for value in (*range(256), *range(256, 0, -1))
    )
    return (ramp * (length // len(ramp) + 1))[:length]


def _identity(seed: int, ref: InstanceRef, sop_class_uid: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class_uid
    dataset.SOPInstanceUID = ref.sop_uid
    dataset.StudyInstanceUID = ref.study_uid
    dataset.SeriesInstanceUID = ref.series_uid
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20240229"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "101112.131415"
    dataset.ContentDate, dataset.ContentTime = "20240229", "101113"
    dataset.AccessionNumber = f"SYN{seed:08}"
    dataset.ReferringPhysicianName = "Sample^Referrer"
    dataset.PatientName = f"Synthetic^Patient{seed}^Édith=合成^患者"
    dataset.PatientID = f"SYN-{seed:06}"
    dataset.IssuerOfPatientID = "SYNTHETIC"
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "19700101", "O", "054Y"
    dataset.StudyID = f"S{seed}"
    dataset.StudyDescription = "Synthetic study for tests"
    dataset.Manufacturer = "Synthetic"
    return dataset


def _grayscale(dataset: Dataset, rows: int, columns: int) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1500"]
    dataset.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _place(dataset: Dataset, number: int, ref: InstanceRef) -> None:
    """Make a slice of that number of a header of its series."""
    dataset.SOPInstanceUID = ref.sop_uid
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = ["-190", "-190", str(-number)]
    dataset.SliceLocation = str(-number)


def _ct_header(seed: int, series: int, ref: InstanceRef, rows: int, columns: int) -> Dataset:
    """All that the slices of a series have in common."""
    dataset = _identity(seed, ref, CT_IMAGE_STORAGE)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
    dataset.Modality = "CT"
    dataset.InstitutionName = "Synthetic Clinic"
    dataset.InstitutionAddress = "1 Example Street"
    dataset.InstitutionalDepartmentName = "Radiology"
    dataset.StationName = "CT1"
    dataset.ManufacturerModelName = "Synthetic CT 64"
    dataset.DeviceSerialNumber = "0001"
    dataset.SoftwareVersions = ["1.0", "build 7"]
    dataset.SeriesDescription = f"Thorax {series}"
    dataset.PerformingPhysicianName = "Sample^Performer"
    dataset.OperatorsName = "Sample^Operator"
    dataset.PatientSize, dataset.PatientWeight = "1.70", "70"
    dataset.PatientComments = "no person"
    dataset.ProcedureCodeSequence = Sequence([_code("P5-08000", "SRT", "CT of thorax")])
    dataset.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Thorax")])
    study = Dataset()
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = ref.study_uid
    dataset.ReferencedStudySequence = Sequence([study])
    request = Dataset()
    request.RequestedProcedureID = f"RP{seed}"
    request.ScheduledProcedureStepID = f"SPS{seed}"
    request.RequestedProcedureDescription = "CT thorax"
    request.ScheduledProtocolCodeSequence = Sequence([_code("CT-7", "99SYN", "Thorax low dose")])
    dataset.RequestAttributesSequence = Sequence([request])
    dataset.BodyPartExamined = "CHEST"
    dataset.ProtocolName = "Thorax^Routine (Adult)"
    _acquisition(dataset)
    dataset.SeriesNumber, dataset.AcquisitionNumber = series, 1
    dataset.FrameOfReferenceUID = sample_uid(seed, "frame of reference")
    _grayscale(dataset, rows, columns)
    dataset.PerformedProcedureStepStartDate = "20240229"
    dataset.PerformedProcedureStepStartTime = "101100"
    dataset.PerformedProcedureStepID = f"PPS{seed}"
    dataset.PerformedProcedureStepDescription = "CT thorax"
    block = dataset.private_block(0x0029, "SYNTHETIC CT HEADER", create=True)
    block.add_new(0x10, "OB", bytes(range(256)) * 2)
    block.add_new(0x11, "LO", "kept as it is")
    return dataset


def _acquisition(dataset: Dataset) -> None:
    dataset.ScanOptions = "HELICAL MODE"
    dataset.SliceThickness, dataset.KVP = "1.0", "120"
    dataset.SpacingBetweenSlices = "1.0"
    dataset.DataCollectionDiameter, dataset.ReconstructionDiameter = "500", "380"
    dataset.DistanceSourceToDetector, dataset.DistanceSourceToPatient = "1040", "570"
    dataset.GantryDetectorTilt, dataset.TableHeight = "0", "142"
    dataset.RotationDirection = "CW"
    dataset.ExposureTime, dataset.XRayTubeCurrent, dataset.Exposure = "500", "180", "90"
    dataset.FilterType, dataset.GeneratorPower = "FLAT", "22"
    dataset.FocalSpots = ["1.2"]
    dataset.ConvolutionKernel = ["B30f", "2"]
    dataset.PatientPosition = "HFS"
    dataset.SingleCollimationWidth, dataset.TotalCollimationWidth = 0.6, 38.4
    dataset.TableSpeed, dataset.SpiralPitchFactor = 46.0, 1.2
    dataset.CTDIvol = 6.75
    dataset.ExposureModulationType = "XYZ_EC"
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.PositionReferenceIndicator = "SN"
    dataset.ImageComments = "synthetic"
    dataset.PixelSpacing = ["0.742188", "0.742188"]
    dataset.SmallestImagePixelValue, dataset.LargestImagePixelValue = 0, 65535
