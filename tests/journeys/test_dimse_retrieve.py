"""C-MOVE and C-GET of whole boxes: what came in goes out, to whoever may have it."""

from __future__ import annotations

import pytest

from tests import samples
from tests.journeys.modality import send
from tests.journeys.viewer import Part10
from tests.journeys.workstation import (
    LEVEL,
    RETRIEVER,
    counts,
    getscu,
    movescu,
    receiving,
    status,
)

SUCCESS, WARNING, CANCELLED = 0x0000, 0xB000, 0xFE00
UNABLE, UNKNOWN, MISMATCH = 0xA702, 0xA801, 0xA900


@pytest.fixture
def study(tmp_path):
    """Two series of a study, and one of another patient: written as files."""
    return Studies(tmp_path / "sent")


class Studies:
    def __init__(self, folder):
        self.paths = []
        self.slices = []
        for seed, series in ((71, 1), (71, 2), (72, 1)):
            made = list(samples.ct_series(3, rows=32, columns=32, seed=seed, series=series))
            self.slices += made
            self.paths += samples.write_series(
                folder / f"{seed}-{series}", 3, rows=32, columns=32, seed=seed, series=series
            )
        self.ref = self.slices[0].ref
        self.other = self.slices[-1].ref

    def files(self, *numbers):
        chosen = self.slices if not numbers else [self.slices[number] for number in numbers]
        return {one.ref.sop_uid: Part10.of(one.data) for one in chosen}


def box_of(open_box, *stations, cloud=None, **dimse):
    peers = (RETRIEVER, *(station.peer for station in stations))
    return open_box(cloud, dimse={"peer": peers, "unknown_peers": "accept", **dimse})


def keys_of(study, level):
    """Model, keys and the numbers of the instances, for a level."""
    first, last = study.ref, study.other
    one = f"StudyInstanceUID={first.study_uid}"
    series = f"SeriesInstanceUID={first.series_uid}"
    sop = f"SOPInstanceUID={first.sop_uid}"
    patient = "PatientID=SYN-000071"
    both = f"StudyInstanceUID={first.study_uid}\\{last.study_uid}"
    second = study.slices[3].ref.series_uid
    return {
        "patient": ("-P", (f"{LEVEL}=PATIENT", patient), range(6)),
        "patient, study": ("-P", (f"{LEVEL}=STUDY", patient, one), range(6)),
        "patient, series": ("-P", (f"{LEVEL}=SERIES", patient, one, series), range(3)),
        "patient, image": ("-P", (f"{LEVEL}=IMAGE", patient, one, series, sop), range(1)),
        "patient/study only": ("-O", (f"{LEVEL}=PATIENT", patient), range(6)),
        "patient/study only, study": ("-O", (f"{LEVEL}=STUDY", patient, one), range(6)),
        "study": ("-S", (f"{LEVEL}=STUDY", one), range(6)),
        "studies": ("-S", (f"{LEVEL}=STUDY", both), range(9)),
        "series": ("-S", (f"{LEVEL}=SERIES", one, series), range(3)),
        "two series": ("-S", (f"{LEVEL}=SERIES", one, f"{series}\\{second}"), range(6)),
        "image": ("-S", (f"{LEVEL}=IMAGE", one, series, sop), range(1)),
        "images": (
            "-S",
            (f"{LEVEL}=IMAGE", one, series, f"{sop}\\{study.slices[2].ref.sop_uid}"),
            (0, 2),
        ),
        "series by itself": ("-S", (f"{LEVEL}=SERIES", series), range(3)),
        "image by itself": ("-S", (f"{LEVEL}=IMAGE", sop), range(1)),
    }[level]


LEVELS = [
    "patient",
    "patient, study",
    "patient, series",
    "patient, image",
    "patient/study only",
    "patient/study only, study",
    "study",
    "studies",
    "series",
    "two series",
    "image",
    "images",
    "series by itself",
    "image by itself",
]


async def test_every_level_of_every_model_is_moved_as_it_was_sent(study, open_box):
    async with receiving() as station, box_of(open_box, station) as box:
        await send(box.dimse_port, study.paths)
        for level in LEVELS:
            station.admission.instances.clear()
            model, keys, numbers = keys_of(study, level)
            ran = await movescu(box.dimse_port, *keys, model=model)
            assert status(ran) == SUCCESS, (level, ran.output)
            assert counts(ran) == ("none", str(len(numbers)), "0", "0"), level
            assert station.got() == study.files(*numbers), level


async def test_every_level_of_every_model_is_got_as_it_was_sent(study, open_box, tmp_path):
    async with box_of(open_box) as box:
        await send(box.dimse_port, study.paths)
        for number, level in enumerate(LEVELS):
            folder = tmp_path / f"got{number}"
            model, keys, numbers = keys_of(study, level)
            ran = await getscu(box.dimse_port, folder, *keys, model=model)
            assert status(ran) == SUCCESS, (level, ran.output)
            got = {one.sop_uid: one for one in map(Part10.at, folder.iterdir())}
            assert got == study.files(*numbers), level


@pytest.mark.parametrize(
    ("model", "keys", "wrong"),
    [
        ("-S", (f"{LEVEL}=PATIENT", "PatientID=1"), "0008,0052"),
        ("-O", (f"{LEVEL}=SERIES", "SeriesInstanceUID=1.2"), "0008,0052"),
        ("-S", ("StudyInstanceUID=1.2",), "0008,0052"),
        ("-S", (f"{LEVEL}=STUDY", "StudyInstanceUID="), "0020,000d"),
        ("-S", (f"{LEVEL}=STUDY", "StudyInstanceUID=1.2.*"), "0020,000d"),
        ("-P", (f"{LEVEL}=PATIENT", "PatientID=A\\B"), "0010,0020"),
        ("-S", (f"{LEVEL}=IMAGE", "StudyInstanceUID=1.2", "SOPInstanceUID=?"), "0008,0018"),
    ],
)
async def test_an_identifier_that_is_wrong_is_refused_and_the_element_named(
    model, keys, wrong, open_box
):
    async with receiving() as station, box_of(open_box, station) as box:
        ran = await movescu(box.dimse_port, *keys, model=model)
        assert status(ran) == MISMATCH, ran.output
        assert wrong in ran.output.lower()
