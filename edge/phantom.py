"""A made-up study of nobody, for the demonstration: a ball in air. Needs pydicom."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

__all__ = ["phantom", "write"]

_SIDE = 128


def phantom(name: str, patient_id: str, slices: int) -> list[Dataset]:
    """A synthetic CT study: a ball in air, of nobody."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    instances = []
    for index in range(slices):
        instance = Dataset()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.SOPClassUID = CTImageStorage
        instance.SOPInstanceUID = generate_uid()
        instance.StudyDate = instance.SeriesDate = time.strftime("%Y%m%d")
        instance.StudyTime = instance.SeriesTime = time.strftime("%H%M%S")
        instance.AccessionNumber = ""
        instance.Modality = "CT"
        instance.Manufacturer = "Edge cache demonstration"
        instance.StudyDescription = "Demonstration"
        instance.SeriesDescription = "Phantom"
        instance.ReferringPhysicianName = ""
        instance.PatientName = name
        instance.PatientID = patient_id
        instance.PatientBirthDate = ""
        instance.PatientSex = "O"
        instance.StudyInstanceUID = study
        instance.SeriesInstanceUID = series
        instance.StudyID = "1"
        instance.SeriesNumber = 1
        instance.InstanceNumber = index + 1
        instance.FrameOfReferenceUID = frame
        instance.PositionReferenceIndicator = ""
        instance.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        instance.ImagePositionPatient = [0, 0, index * 2]
        instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        instance.SliceThickness = 2
        instance.PixelSpacing = [1, 1]
        instance.SamplesPerPixel = 1
        instance.PhotometricInterpretation = "MONOCHROME2"
        instance.Rows = instance.Columns = _SIDE
        instance.BitsAllocated = instance.BitsStored = 16
        instance.HighBit = 15
        instance.PixelRepresentation = 0
        instance.RescaleIntercept = -1024
        instance.RescaleSlope = 1
        instance.WindowCenter, instance.WindowWidth = 40, 400
        instance.PixelData = _ball(index, slices)
        instances.append(instance)
    return instances


def _ball(index: int, slices: int) -> bytes:
    """One slice of 16-bit pixels: 1064 (40 HU) inside the ball, 24 (-1000 HU) outside."""
    middle = (slices - 1) / 2
    height = (index - middle) / (middle + 1)
    radius = _SIDE * 0.45 * math.sqrt(1 - height**2)
    rows = []
    for row in range(_SIDE):
        across = radius**2 - (row - _SIDE / 2) ** 2
        half = int(math.sqrt(across)) if across > 0 else 0
        outside = (24).to_bytes(2, "little") * (_SIDE // 2 - half)
        rows.append(outside + (1064).to_bytes(2, "little") * (2 * half) + outside)
    return b"".join(rows)


def write(instance: Dataset, path: Path) -> None:
    """Keep one as a file (PS3.10)."""
    file = io.BytesIO()
    instance.save_as(file, enforce_file_format=True)
    path.write_bytes(file.getvalue())
