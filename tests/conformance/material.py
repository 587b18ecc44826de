"""What is stored in the service before the checks run: small instances, each there for a reason.

Synthetic ones, and packaged ones of pydicom under identifiers of their own: every run has other
UIDs and patients, so that nothing that a service already has changes what a check finds. They name
no real person. Only transfer syntaxes that PS3.18 8.7.3 allows on the web are used.
"""

from __future__ import annotations

import io
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.samples import packaged_file

__all__ = ["Material", "Sample", "as_sample", "build", "packaged", "uid"]

EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
MULTIFRAME_BYTE = "1.2.840.10008.5.1.4.1.1.7.2"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"

WIDTH, HEIGHT = 64, 48
"""Of the slices: not square, so that rows are never taken for columns."""
CINE_FRAMES = 4

_DOCUMENT = (
    b"%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    b"2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One instance: what was stored, and where it is then."""

    dataset: Dataset
    data: bytes
    """The Part 10 file."""

    @property
    def study_uid(self) -> str:
        return str(self.dataset.StudyInstanceUID)

    @property
    def series_uid(self) -> str:
        return str(self.dataset.SeriesInstanceUID)

    @property
    def sop_uid(self) -> str:
        return str(self.dataset.SOPInstanceUID)

    @property
    def transfer_syntax(self) -> str:
        return str(self.dataset.file_meta.TransferSyntaxUID)

    @property
    def study(self) -> str:
        """Path of the study."""
        return f"/studies/{self.study_uid}"

    @property
    def series(self) -> str:
        """Path of the series."""
        return f"{self.study}/series/{self.series_uid}"

    @property
    def path(self) -> str:
        """Path of the instance."""
        return f"{self.series}/instances/{self.sop_uid}"

    @property
    def uri_query(self) -> dict[str, str]:
        """The mandatory parameters of the URI Service (9.1.2.1)."""
        return {
            "requestType": "WADO",
            "studyUID": self.study_uid,
            "seriesUID": self.series_uid,
            "objectUID": self.sop_uid,
        }


@dataclass(frozen=True, slots=True)
class Material:
    """All that is stored.

    Attributes:
        run: Begins every Patient ID, so that a search can be kept to this run.
        thorax: Three CT slices; their study has a fourth instance, `scout`, in a series of its own.
        head: One MR slice of another patient, with empty attributes, in ISO 8859-1.
        japanese: One instance in ISO 2022 IR 87.
        cine: A multi-frame image.
        colours: One image for each photometric interpretation that needs work.
        reference: The uncompressed image that all of `compressed` are, without loss.
        compressed: By the name of the transfer syntax.
        lossy: A JPEG baseline image.
        report: A structured report.
        document: An encapsulated PDF.
    """

    run: str
    thorax: tuple[Sample, ...]
    scout: Sample
    head: Sample
    japanese: Sample
    cine: Sample
    colours: dict[str, Sample]
    reference: Sample
    compressed: dict[str, Sample]
    lossy: Sample
    report: Sample
    document: Sample
    _made: Iterator[int] = field(repr=False)

    @property
    def slice(self) -> Sample:
        """The second slice of the thorax: the one that most checks look at."""
        return self.thorax[1]

    @property
    def mine(self) -> str:
        """Matches the patients of this run and no others."""
        return f"{self.run}*"

    def all(self) -> list[Sample]:
        """Everything, in the order in which it is stored."""
        more = [*self.colours.values(), self.reference, *self.compressed.values()]
        texts = [self.lossy, self.report, self.document]
        return [*self.thorax, self.scout, self.head, self.japanese, self.cine, *more, *texts]

    def fresh(self, **attributes: Any) -> Sample:
        """A CT slice that nobody has stored yet, in a study of its own."""
        dataset = _slice(self.run, f"NEW{next(self._made)}", uid(), uid(), 1, 1)
        # Not one of those that `mine` matches.
        dataset.PatientID = f"NEW-{dataset.PatientID}"
        for name, value in attributes.items():
            setattr(dataset, name, value)
        return as_sample(dataset)


def build() -> Material:
    """Make all of it, under new identifiers."""
    run = f"CF{secrets.token_hex(4).upper()}"
    study = uid()
    thorax_series, colours_study, compressed_study = uid(), uid(), uid()
    thorax = tuple(
        as_sample(_slice(run, "THORAX", study, thorax_series, 2, number)) for number in (1, 2, 3)
    )
    names = {
        "RLE Lossless": "MR_small_RLE.dcm",
        "JPEG-LS Lossless": "MR_small_jpeg_ls_lossless.dcm",
        "JPEG 2000 Lossless": "MR_small_jp2klossless.dcm",
    }
    compressed = {
        name: packaged(run, "COMPRESSED", file, study=compressed_study)
        for name, file in names.items()
    }
    deflated = packaged(run, "COMPRESSED", "MR_small.dcm", study=compressed_study).dataset
    compressed["Deflated Explicit VR Little Endian"] = as_sample(deflated, DEFLATED)
    colours = {name: as_sample(dataset) for name, dataset in _colours(run, colours_study)}
    return Material(
        run=run,
        thorax=thorax,
        scout=as_sample(_scout(run, study)),
        head=as_sample(_head(run)),
        japanese=packaged(run, "JAPAN", "chrH31.dcm"),
        cine=as_sample(_cine(run)),
        colours=colours,
        reference=packaged(run, "COMPRESSED", "MR_small.dcm", study=compressed_study),
        compressed=compressed,
        lossy=packaged(run, "LOSSY", "SC_rgb_jpeg_dcmtk.dcm"),
        report=packaged(run, "REPORT", "reportsi.dcm"),
        document=as_sample(_document(run)),
        _made=iter(range(1, 1_000_000)),
    )


def uid() -> str:
    """A new UID (PS3.5 B.2)."""
    return f"2.25.{secrets.randbits(127) | 1 << 126}"


def as_sample(dataset: Dataset, transfer_syntax: str = EXPLICIT) -> Sample:
    """A data set as a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = "2.25.191817161514131211109876543210"
    dataset.file_meta = meta
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    data = buffer.getvalue()
    return Sample(pydicom.dcmread(io.BytesIO(data)), data)


def ramp(value: int) -> bytes:
    """A row of WIDTH 16-bit pixels that rise from *value* by 16 each."""
    return b"".join((value + 16 * column).to_bytes(2, "little") for column in range(WIDTH))


def packaged(run: str, patient: str, name: str, *, study: str = "") -> Sample:
    """A file that pydicom packages, under new identifiers; all else is as it is packaged."""
    path: Path = packaged_file(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's opinion of these files is known
        dataset = pydicom.dcmread(path)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study or uid(), uid()
        dataset.SOPInstanceUID = uid()
        dataset.PatientID = f"{run}-{patient}"
        made = as_sample(dataset, dataset.file_meta.TransferSyntaxUID)
        for element in made.dataset.iterall():
            _ = element.value  # read all of it now, while warnings are off
    return made


def _patient(run: str, patient: str, study: str, series: str, sop_class: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    dataset.PatientID = f"{run}-{patient}"
    dataset.PatientName = f"Conform^{patient.title()}"
    dataset.PatientBirthDate, dataset.PatientSex = "19700131", "O"
    dataset.StudyDate, dataset.StudyTime = "20240229", "101112"
    dataset.AccessionNumber, dataset.StudyID = f"{run[2:]}{patient[:6]}", "S1"
    dataset.ReferringPhysicianName = "Referrer^Rita"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    return dataset


def _grayscale(dataset: Dataset, pixels: bytes, *, bits: int = 16) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = HEIGHT, WIDTH
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    dataset.PixelData = pixels
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"


def _slice(
    run: str, patient: str, study: str, series: str, series_number: int, number: int
) -> Dataset:
    dataset = _patient(run, patient, study, series, CT)
    dataset.PatientName = f"Conform^{patient.title()}^Ädèle=合成^患者"
    dataset.Modality, dataset.SeriesDescription = "CT", "Slices"
    dataset.StudyDescription = "Conformance of the thorax"
    dataset.SeriesNumber, dataset.InstanceNumber = series_number, number
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PerformedProcedureStepStartDate = "20240229"
    dataset.PerformedProcedureStepStartTime = "101100"
    request = Dataset()
    request.ScheduledProcedureStepID = f"SPS{run[2:]}"
    request.RequestedProcedureID = f"RP{run[2:]}"
    dataset.RequestAttributesSequence = Sequence([request])
    other = Dataset()
    other.PatientID, other.TypeOfPatientID = f"{run}-OTHER", "TEXT"
    dataset.OtherPatientIDsSequence = Sequence([other, Dataset()])
    dataset.SliceThickness, dataset.KVP = "1.25", None
    dataset.ImagePositionPatient = ["-190.5", "0", str(number)]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = study, ""
    dataset.PixelSpacing = ["0.5", "0.5"]
    dataset.SpiralPitchFactor, dataset.TableSpeed = 1.1, 46.25
    dataset.OtherPatientNames = ["Conform^Other", "", "Conform^Third=第三^名"]
    dataset.PerformedProcedureCodeSequence = Sequence([])
    dataset.ContentTime, dataset.PatientAge = "101112.123456", "054Y"
    dataset.PatientComments = "first line\r\nsecond \\ line, with ümlaut"
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1500"]
    pixels = b"".join(ramp(100 * number + 8 * row) for row in range(HEIGHT))
    _grayscale(dataset, pixels)
    block = dataset.private_block(0x0029, "CONFORMANCE", create=True)
    block.add_new(0x10, "OB", bytes(range(256)) * 12)
    block.add_new(0x11, "LO", f"private {run}")
    item = Dataset()
    inner = item.private_block(0x0029, "CONFORMANCE", create=True)
    inner.add_new(0x10, "OW", bytes(reversed(range(256))) * 12)
    block.add_new(0x12, "SQ", Sequence([item]))
    return dataset


def _scout(run: str, study: str) -> Dataset:
    dataset = _slice(run, "THORAX", study, uid(), 1, 7)
    dataset.SOPClassUID, dataset.Modality = MR, "MR"
    dataset.SeriesDescription = "Scout"
    dataset.PerformedProcedureStepStartDate = "20240301"
    del dataset.RequestAttributesSequence
    return dataset


def _head(run: str) -> Dataset:
    dataset = _patient(run, "HEAD", uid(), uid(), MR)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Höfer^Jürgen"
    dataset.PatientBirthDate = dataset.AccessionNumber = ""
    dataset.StudyDate, dataset.StudyTime = "20230115", "235959"
    dataset.ReferringPhysicianName, dataset.StudyID = "Olga", "S2"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "MR", 5, 9
    dataset.SeriesDescription = "Köpfe"
    _grayscale(dataset, ramp(0) * HEIGHT)
    return dataset


def _cine(run: str) -> Dataset:
    dataset = _patient(run, "CINE", uid(), uid(), MULTIFRAME_BYTE)
    dataset.PatientName = "Filmstrip"
    dataset.Modality, dataset.ConversionType = "OT", "SYN"
    dataset.NumberOfFrames, dataset.FrameTime = CINE_FRAMES, "100"
    dataset.FrameIncrementPointer = 0x00181063
    frames = b"".join(bytes([60 * frame + 10]) * (WIDTH * HEIGHT) for frame in range(CINE_FRAMES))
    _grayscale(dataset, frames, bits=8)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.PresentationLUTShape = "IDENTITY"
    return dataset


def _colours(run: str, study: str) -> Iterator[tuple[str, Dataset]]:
    """Three bars from left to right; `rendered` knows in which colours."""
    bars = [[0] * 22 + [1] * 21 + [2] * 21] * HEIGHT
    indices = bytes(index for row in bars for index in row)

    def image(photometric: str, samples: int, pixels: bytes) -> Dataset:
        dataset = _patient(run, "COLOUR", study, uid(), SECONDARY_CAPTURE)
        dataset.Modality, dataset.ConversionType = "OT", "SYN"
        _grayscale(dataset, pixels, bits=8)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = samples, photometric
        if samples > 1:
            dataset.PlanarConfiguration = 0
        return dataset

    red, green, blue = b"\xff\x00\x00", b"\x00\xff\x00", b"\x00\x00\xff"
    yield "RGB", image("RGB", 3, b"".join((red, green, blue)[index] for index in indices))
    # The same colours by PS3.3 C.7.6.3.1.2.
    full = (b"\x4c\x55\xff", b"\x96\x2c\x15", b"\x1d\xff\x6b")
    yield "YBR_FULL", image("YBR_FULL", 3, b"".join(full[index] for index in indices))
    planar = image(
        "RGB", 3, b"".join(bytes(255 * (index == plane) for index in indices) for plane in range(3))
    )
    planar.PlanarConfiguration = 1
    yield "RGB, planar", planar
    palette = image("PALETTE COLOR", 1, indices)
    for number, name in enumerate(("Red", "Green", "Blue")):
        setattr(palette, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 16])
        entries = b"".join(b"\xff\xff" if entry == number else b"\0\0" for entry in range(3))
        setattr(palette, f"{name}PaletteColorLookupTableData", entries)
    yield "PALETTE COLOR", palette
    steps = bytes((0, 128, 255)[index] for index in indices)
    yield "MONOCHROME1", image("MONOCHROME1", 1, steps)
    yield "MONOCHROME2", image("MONOCHROME2", 1, steps)


def _document(run: str) -> Dataset:
    dataset = _patient(run, "DOCUMENT", uid(), uid(), PDF)
    dataset.Modality, dataset.ConversionType = "DOC", "WSD"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.DocumentTitle, dataset.BurnedInAnnotation = "Conformance", "NO"
    dataset.EncapsulatedDocument = _DOCUMENT + b" " * (len(_DOCUMENT) % 2)
    dataset.EncapsulatedDocumentLength = len(_DOCUMENT)
    return dataset
