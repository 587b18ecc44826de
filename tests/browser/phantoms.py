"""Studies for eyes: shapes that one knows again on a screen, of each kind that the viewer opens.

Owns no person's image. Each function makes one study, as Part 10 files that belong together; what
is the same in all of them is said once.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

from tests import samples
from tests.conformance.material import build

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
CR = "1.2.840.10008.5.1.4.1.1.1"
MG = "1.2.840.10008.5.1.4.1.1.1.2"
US_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
SIDE = 256


def uid(*parts: object) -> str:
    return samples.sample_uid("phantom", *parts)


def disc(side: int, x: float, y: float, radius: float, squeeze: float = 1.0) -> np.ndarray:
    """Where an ellipse is, in parts of the side."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    return (columns - x) ** 2 + ((rows - y) / squeeze) ** 2 < radius**2


def written(dataset: Dataset, syntax: str = EXPLICIT) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
    dataset.file_meta = meta
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def of_patient(name: str, modality: str, sop_class: str, number: int = 1) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, uid(name, modality, number)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uid(name), uid(name, modality)
    dataset.PatientName, dataset.PatientID = f"Phantom^{name}", f"PH-{name.upper()}"
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "O"
    dataset.StudyDate, dataset.StudyTime = "20240229", "101112"
    dataset.ContentDate, dataset.ContentTime = "20240229", "101112"
    dataset.StudyID, dataset.AccessionNumber = "1", name.upper()
    dataset.StudyDescription, dataset.ReferringPhysicianName = f"{name} of a phantom", ""
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = modality, 1, number
    dataset.SeriesDescription = f"{modality} series"
    dataset.Manufacturer = "Synthetic"
    return dataset


def grey(dataset: Dataset, pixels: np.ndarray, stored: int) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    allocated = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW" if allocated == 16 else "OB"


def thorax(number: int, slices: int) -> np.ndarray:
    """One slice, in Hounsfield units."""
    part = number / slices
    image = np.full((SIDE, SIDE), -1000)
    image[disc(SIDE, 0.5, 0.5, 0.44, 0.72)] = 40
    for x in (0.32, 0.68):
        image[disc(SIDE, x, 0.48, 0.10 + 0.06 * part, 1.4)] = -820
    image[disc(SIDE, 0.5, 0.70, 0.055)] = 700
    image[disc(SIDE, 0.46, 0.45, 0.05 + 0.03 * part)] = 120
    # Which slice: a rod that lies askew.
    image[disc(SIDE, 0.1 + 0.1 * number, 0.08, 0.03)] = 200
    # Which way up: a thing that is on one side only.
    image[disc(SIDE, 0.24, 0.60, 0.03)] = 300
    return image


def ct(slices: int = 8, name: str = "Thorax") -> list[bytes]:
    return [written(one) for one in _ct(slices, name)]


def _ct(slices: int, name: str) -> Iterator[Dataset]:
    for number in range(1, slices + 1):
        dataset = of_patient(name, "CT", CT, number)
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.FrameOfReferenceUID = uid(name, "frame of reference")
        dataset.PositionReferenceIndicator = ""
        dataset.ImagePositionPatient = ["-190", "-190", str(-3 * number)]
        dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
        dataset.PixelSpacing, dataset.SliceThickness = ["1.5", "1.5"], "3"
        dataset.KVP, dataset.PatientPosition = "120", "HFS"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
        dataset.WindowCenter, dataset.WindowWidth = "40", "400"
        grey(dataset, (thorax(number, slices) + 1024).astype("<u2"), 12)
        yield dataset


def mr() -> list[bytes]:
    """The same head in syntaxes that a browser decodes by WebAssembly."""
    names = ("MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless")
    made = []
    for number, name in enumerate(names, 1):
        dataset = pydicom.dcmread(samples.packaged_file(f"{name}.dcm"))
        dataset.StudyInstanceUID = uid("Head")
        dataset.SeriesInstanceUID = uid("Head", number)
        dataset.SOPInstanceUID, dataset.SeriesNumber = uid("Head", number, 1), number
        dataset.PatientID, dataset.StudyDescription = "PH-HEAD", "Head of a phantom"
        dataset.SeriesDescription = name
        made.append(written(dataset, dataset.file_meta.TransferSyntaxUID))
    return made


def us(frames: int = 12) -> list[bytes]:
    """A heart that beats, in colour."""
    dataset = of_patient("Heart", "US", US_MULTIFRAME)
    pixels = np.zeros((frames, 160, 160, 3), "u1")
    for number, frame in enumerate(pixels):
        beat = 0.25 + 0.1 * np.sin(2 * np.pi * number / frames)
        frame[disc(160, 0.5, 0.5, 0.45)] = 40
        frame[disc(160, 0.5, 0.5, beat)] = (200, 30 + 10 * number, 30)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows = dataset.Columns = 160
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.NumberOfFrames, dataset.FrameTime, dataset.CineRate = frames, "80", "12"
    dataset.FrameIncrementPointer = 0x00181063
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB"
    return [written(dataset)]


def cr() -> list[bytes]:
    """A hand plate; as film has it, bones are white because high values are dark."""
    dataset = of_patient("Hand", "CR", CR)
    image = np.full((SIDE, SIDE), 3500, "<u2")
    for finger in range(5):
        image[disc(SIDE, 0.2 + 0.15 * finger, 0.45, 0.05, 5.0)] = 900
    grey(dataset, image, 12)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.BodyPartExamined, dataset.ViewPosition = "HAND", "PA"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.ImagerPixelSpacing = ["0.2", "0.2"]
    return [written(dataset)]


def mg() -> list[bytes]:
    dataset = of_patient("Breast", "MG", MG)
    image = np.zeros((SIDE, SIDE), "<u2")
    image[disc(SIDE, 0.0, 0.5, 0.6)] = 1500
    image[disc(SIDE, 0.2, 0.5, 0.05)] = 3800
    grey(dataset, image, 12)
    dataset.ImageLaterality, dataset.ViewPosition = "L", "CC"
    dataset.PresentationIntentType, dataset.BodyPartExamined = "FOR PRESENTATION", "BREAST"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.ImagerPixelSpacing = ["0.1", "0.1"]
    dataset.ImageType, dataset.PatientOrientation = ["ORIGINAL", "PRIMARY"], ["A", "R"]
    return [written(dataset)]


def pdf() -> list[bytes]:
    """A page with a black bar in its middle."""
    dataset = of_patient("Letter", "DOC", PDF)
    del dataset.StudyDescription
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.MIMETypeOfEncapsulatedDocument, dataset.DocumentTitle = "application/pdf", "Letter"
    drawing = b"0 0 0 rg 50 150 200 100 re f"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 400]/Contents 4 0 R/Resources<<>>>>",
        b"<</Length %d>>stream\n%b\nendstream" % (len(drawing), drawing),
    ]
    document, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(document))
        document += b"%d 0 obj%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"trailer<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % len(document)
    document += b"xref\n0 5\n0000000000 65535 f \n" + table + end
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    dataset.EncapsulatedDocumentLength = len(document)
    return [written(dataset)]


def sr() -> list[bytes]:
    return [build().report.data]


def seg() -> list[bytes]:
    """A CT, and what somebody outlined in it."""
    slices = list(_ct(4, "Outlined"))
    dataset = of_patient("Outlined", "SEG", SEGMENTATION)
    first = slices[0]
    dataset.FrameOfReferenceUID = first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = ""
    dataset.SeriesNumber, dataset.SeriesDescription = 2, "Outlined"
    dataset.ManufacturerModelName, dataset.DeviceSerialNumber = "Phantom", "1"
    dataset.SoftwareVersions = "1"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.SegmentationType, dataset.ContentLabel = "BINARY", "LUNG"
    dataset.ContentDescription, dataset.ContentCreatorName = "", "Phantom"
    dataset.LossyImageCompression = "00"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = SIDE
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = dataset.PixelRepresentation = 0
    dataset.NumberOfFrames = len(slices)
    segment = Dataset()
    segment.SegmentNumber, segment.SegmentLabel = 1, "Lung"
    segment.SegmentAlgorithmType, segment.SegmentAlgorithmName = "AUTOMATIC", "phantom"
    segment.SegmentedPropertyCategoryCodeSequence = Sequence([_code("123037004", "Anatomy")])
    segment.SegmentedPropertyTypeCodeSequence = Sequence([_code("39607008", "Lung")])
    segment.RecommendedDisplayCIELabValue = [40000, 50000, 30000]
    dataset.SegmentSequence = Sequence([segment])
    series = Dataset()
    series.SeriesInstanceUID = first.SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence([_reference(one) for one in slices])
    dataset.ReferencedSeriesSequence = Sequence([series])
    organization = Dataset()
    organization.DimensionOrganizationUID = uid("Outlined", "dimensions")
    dataset.DimensionOrganizationSequence = Sequence([organization])
    dataset.DimensionIndexSequence = Sequence(
        [_dimension(0x0062000B, 0x0062000A), _dimension(0x00200032, 0x00209113)]
    )
    dataset.SharedFunctionalGroupsSequence = Sequence([_shared(first)])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(
        [_frame(one, number) for number, one in enumerate(slices, 1)]
    )
    masks = [thorax(number, 4) == -820 for number in range(1, 5)]
    bits = np.packbits(np.concatenate([one.ravel() for one in masks]), bitorder="little")
    dataset.PixelData = bits.tobytes()
    dataset["PixelData"].VR = "OB"
    return [*(written(one) for one in slices), written(dataset)]


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _reference(one: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = one.SOPClassUID
    item.ReferencedSOPInstanceUID = one.SOPInstanceUID
    return item


def _dimension(pointer: int, group: int) -> Dataset:
    item = Dataset()
    item.DimensionOrganizationUID = uid("Outlined", "dimensions")
    item.DimensionIndexPointer, item.FunctionalGroupPointer = pointer, group
    return item


def _shared(first: Dataset) -> Dataset:
    item, measures, orientation, segment = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    measures.SpacingBetweenSlices = first.SliceThickness
    orientation.ImageOrientationPatient = first.ImageOrientationPatient
    segment.ReferencedSegmentNumber = 1
    item.PixelMeasuresSequence = Sequence([measures])
    item.PlaneOrientationSequence = Sequence([orientation])
    item.SegmentIdentificationSequence = Sequence([segment])
    return item


def _frame(one: Dataset, number: int) -> Dataset:
    item, content, position, derived, source = (Dataset() for _ in range(5))
    content.DimensionIndexValues = [1, number]
    position.ImagePositionPatient = one.ImagePositionPatient
    source = _reference(one)
    source.PurposeOfReferenceCodeSequence = Sequence([_code("121322", "Source image")])
    derived.SourceImageSequence = Sequence([source])
    derived.DerivationCodeSequence = Sequence([_code("113076", "Segmentation")])
    item.FrameContentSequence = Sequence([content])
    item.PlanePositionSequence = Sequence([position])
    item.DerivationImageSequence = Sequence([derived])
    return item
