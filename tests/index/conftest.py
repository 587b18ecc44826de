"""An index on a real file, and rows that stand for instances whose bytes are elsewhere."""

from __future__ import annotations

import hashlib
import itertools

import pytest

from edge.dicom.instance import Custody, InstanceRef, Origin
from edge.index import instances
from edge.index.database import Database

KEY = bytes(32)


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "index.db", KEY) as opened:
        yield opened


@pytest.fixture
def new_instance():
    """Makes a ``NewInstance``: by UIDs, with further attributes as ``tag=(vr, value)``."""
    numbers = itertools.count(1)

    def make(
        study="1.2.3",
        series="1.2.3.1",
        sop=None,
        *,
        content=b"",
        origin=Origin.DIMSE,
        custody=Custody.EDGE_ONLY,
        **attributes,
    ):
        number = next(numbers)
        sop = sop or f"1.2.3.1.{number}"
        dataset = {
            "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.2"]},
            "00080018": {"vr": "UI", "Value": [sop]},
            "0020000D": {"vr": "UI", "Value": [study]},
            "0020000E": {"vr": "UI", "Value": [series]},
            "00200013": {"vr": "IS", "Value": [number]},
        }
        for tag, (vr, *values) in attributes.items():
            dataset[tag.removeprefix("t")] = {"vr": vr, "Value": list(values)}
        digest = hashlib.sha256(content or sop.encode()).digest()
        return instances.NewInstance(
            ref=InstanceRef(study, series, sop),
            sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
            transfer_syntax="1.2.840.10008.1.2.1",
            attributes=dataset,
            document=instances.pack(dataset),
            layout=b"",
            frame_count=1,
            object=hashlib.md5(digest + bytes([number % 256])).hexdigest(),
            key_id=bytes(16),
            content_bytes=1000,
            sealed_bytes=1100,
            meta_digest=digest,
            dataset_digest=digest,
            origin=origin,
            peer="MODALITY",
            custody=custody,
        )

    return make


@pytest.fixture
def put(database):
    """Puts instances, and gives the results."""

    async def call(*new, now=1000.0):
        return [
            await database.write(lambda db, one=one: instances.put(db, one, now)) for one in new
        ]

    return call
