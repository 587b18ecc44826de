"""Every packaged file is found by what it says of itself, in whatever character set it says it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pydicom

from tests import samples
from tests.journeys.modality import send, with_its_own_names

KEYS = ("StudyInstanceUID", "PatientID", "StudyDate", "AccessionNumber", "StudyID")


def questions(dataset: pydicom.Dataset) -> Iterator[dict[str, str]]:
    """Searches that must find the study."""
    for key in KEYS:
        if value := str(dataset.get(key) or ""):
            yield {key: value}
    if modality := str(dataset.get("Modality") or ""):
        yield {"ModalitiesInStudy": modality}
    # One component group at a time: alphabetic, ideographic, phonetic (PS3.5 6.2.1).
    for name in str(dataset.get("PatientName") or "").split("="):
        if name.strip("^ ") and not set(name) & set("*?"):
            yield {"PatientName": name}
            yield {"PatientName": f"{name[:1]}*"}
            yield {"PatientName": name.swapcase()}


async def test_every_file_is_found_by_what_it_says_of_itself(open_box, tmp_path):
    paths = [with_its_own_names(path, tmp_path) for path in samples.distinct_files()]
    async with open_box() as box:
        assert await send(box.dimse_port, paths) == {0x0000: len(paths)}
        asked, missed = 0, []
        for path in paths:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                dataset = pydicom.dcmread(path)
                asked_for = list(questions(dataset))
            for question in asked_for:
                asked += 1
                found = await box.viewer.search("/studies", limit=1000, **question)
                uids = {study["0020000D"]["Value"][0] for study in found}
                if dataset.StudyInstanceUID not in uids:
                    missed.append((path.name, question))
        assert asked > 500
        assert not missed
