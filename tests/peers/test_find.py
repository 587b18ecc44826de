"""C-FIND beside Orthanc's: the same files, the same questions, the same sets of UIDs.

What both have of pydicom's packaged files is asked for over both roots, at every level, in every
kind of matching, by pynetdicom.
"""

from __future__ import annotations

import httpx
import pydicom
import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

from tests import samples
from tests.bench.servers import CALLING
from tests.fakes import orthanc

pytestmark = [
    pytest.mark.skipif(bool(orthanc.missing()), reason="compares with Debian's Orthanc"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
STUDY_ROOT = "1.2.840.10008.5.1.4.1.2.2.1"
UNIQUE = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}


class Finder:
    """An association with each of the two."""

    def __init__(self, port: int, called: str) -> None:
        ae = AE(CALLING)
        items = []
        for root in (PATIENT_ROOT, STUDY_ROOT):
            ae.add_requested_context(root)
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid, item.service_class_application_information = root, b"\1"
            items.append(item)
        self.association = ae.associate("127.0.0.1", port, ae_title=called, ext_neg=items)
        assert self.association.is_established

    def find(self, root, level, **keys):
        """Data sets, and the last status."""
        dataset = Dataset()
        dataset.SpecificCharacterSet = "ISO_IR 192"
        dataset.QueryRetrieveLevel = level
        for keyword in [*list(UNIQUE.values())[: list(UNIQUE).index(level) + 1], *keys]:
            setattr(dataset, keyword, keys.get(keyword, ""))
        responses = list(self.association.send_c_find(dataset, root))
        assert responses
        assert responses[-1][0].Status == 0, responses[-1][0]
        return [found for _, found in responses if found is not None]

    def uids(self, root, level, **keys):
        found = [str(one[UNIQUE[level]].value) for one in self.find(root, level, **keys)]
        assert len(found) == len(set(found))
        return set(found)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    with orthanc.Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture(scope="module")
def both(edge, service, archive):
    """The two, each with the same files; and those, as data sets."""
    datasets = []
    for path in samples.distinct_files():
        data = path.read_bytes()
        try:
            archive.store(data)
        except httpx.HTTPStatusError:
            continue  # not what it takes
        assert service.store_instances([data]).status_code in (200, 202), path.name
        datasets.append(pydicom.dcmread(path, stop_before_pixels=True))
    assert len(datasets) > 60
    finders = (
        Finder(edge.dicom_port, edge.ae_title),
        Finder(archive.dicom_port, archive.ae_title),
    )
    yield *finders, datasets
    for one in finders:
        one.association.release()


OLD_STYLE = "1.2.840.113619.2.21.848.246800003.0.1952805748.3"
"""Its date is 1997.04.24, as before 1993 (PS3.5 6.2); Orthanc compares its text."""
STUDY_QUERIES = [
    {},
    {"PatientName": "*^*a*"},
    {"PatientName": "a*"},
    {"PatientName": "COMPRESSED*"},
    {"PatientName": "compressedsamples^ct1"},
    {"PatientName": "*samples^?R1"},
    {"PatientName": "nobody"},
    {"StudyDate": "20040119"},
    {"StudyDate": "19970101-20041231"},
    {"StudyDate": "18000101-20000101"},
    {"StudyDate": "20040827-"},
    {"StudyTime": "070000-120000"},
    {"StudyDate": "20040101-20041231", "StudyTime": "070000-190000"},
    {"AccessionNumber": "*1*"},
    {"StudyDescription": "*e*"},
    {"ReferringPhysicianName": "*a*"},
    {"ModalitiesInStudy": "CT"},
    {"ModalitiesInStudy": ["CT", "MR"]},
    {"PatientSex": "F"},
    {"PatientBirthDate": "19000101-19691231"},
]
SERIES_QUERIES = [
    {},
    {"Modality": "MR"},
    {"Modality": ["CT", "US"]},
    {"SeriesNumber": "1"},
    {"SeriesDescription": "*a*"},
    {"BodyPartExamined": "*E*"},
    {"PatientName": "comp*", "Modality": "CT"},
    {"ProtocolName": "*a*"},
]
IMAGE_QUERIES = [
    {},
    {"InstanceNumber": "1"},
    {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"},
    {"SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"]},
    {"PatientName": "comp*", "InstanceNumber": "1"},
]
PATIENT_QUERIES = [
    {"PatientID": "4MR1"},
    {"PatientID": "?CT1"},
    {"PatientName": "COMP*"},
    {"PatientName": "*ct*"},
    {"PatientSex": "M"},
    {"PatientBirthDate": "18000101-19600101"},
]
CASES = [
    *((root, "STUDY", keys) for root in (PATIENT_ROOT, STUDY_ROOT) for keys in STUDY_QUERIES),
    *((root, "SERIES", keys) for root in (PATIENT_ROOT, STUDY_ROOT) for keys in SERIES_QUERIES),
    *((root, "IMAGE", keys) for root in (PATIENT_ROOT, STUDY_ROOT) for keys in IMAGE_QUERIES),
    *((PATIENT_ROOT, "PATIENT", keys) for keys in PATIENT_QUERIES),
]


@pytest.mark.parametrize(("root", "level", "keys"), CASES, ids=str)
def test_the_same_is_found(both, root, level, keys):
    edge, orthanc_, _ = both
    ours, theirs = edge.uids(root, level, **keys), orthanc_.uids(root, level, **keys)
    apart = {OLD_STYLE} if "StudyDate" in keys else set()
    assert ours - apart == theirs - apart


def test_a_star_alone_and_an_open_range_mean_what_the_standard_says(both):
    """Orthanc wants a value for the one (PS3.4 C.2.2.2.3), and none for the other (C.2.2.2.5)."""
    edge, _, datasets = both
    assert edge.uids(STUDY_ROOT, "STUDY", PatientID="*") == edge.uids(STUDY_ROOT, "STUDY")
    wanted = {
        str(one.StudyInstanceUID)
        for one in datasets
        if "0" < str(one.get("StudyDate") or "").replace(".", "") <= "20000101"
    }
    assert OLD_STYLE in wanted
    assert edge.uids(STUDY_ROOT, "STUDY", StudyDate="-20000101") == wanted


def test_the_whole_tree_is_the_same_level_by_level(both):
    edge, orthanc_, datasets = both
    known = {str(one.StudyInstanceUID) for one in datasets}
    assert edge.uids(STUDY_ROOT, "STUDY") == known
    for study in known:
        below = edge.uids(STUDY_ROOT, "SERIES", StudyInstanceUID=study)
        assert below == orthanc_.uids(STUDY_ROOT, "SERIES", StudyInstanceUID=study)
        for series in below:
            keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
            images = edge.uids(STUDY_ROOT, "IMAGE", **keys)
            assert images == orthanc_.uids(STUDY_ROOT, "IMAGE", **keys)
            assert images <= {str(one.SOPInstanceUID) for one in datasets}


def test_lists_of_uids_are_found_as_one_set(both):
    edge, orthanc_, datasets = both
    studies = sorted({str(one.StudyInstanceUID) for one in datasets})[:7]
    for finder in (edge, orthanc_):
        assert finder.uids(STUDY_ROOT, "STUDY", StudyInstanceUID=studies) == set(studies)


def test_counts_and_values_of_studies_are_the_same(both):
    edge, orthanc_, _ = both
    asked = {
        "NumberOfStudyRelatedSeries": "",
        "NumberOfStudyRelatedInstances": "",
        "ModalitiesInStudy": "",
        "PatientName": "",
        "StudyDate": "",
    }

    def told(finder):
        return {
            str(one.StudyInstanceUID): (
                int(one.NumberOfStudyRelatedSeries),
                int(one.NumberOfStudyRelatedInstances),
                set(one.ModalitiesInStudy)
                if not isinstance(one.ModalitiesInStudy, str)
                else {one.ModalitiesInStudy} - {""},
                str(one.StudyDate or ""),
            )
            for one in finder.find(STUDY_ROOT, "STUDY", **asked)
        }

    assert told(edge) == told(orthanc_)


def test_names_of_every_script_are_told_as_pydicom_reads_the_files(both):
    edge, _, datasets = both
    found = {
        str(one.SOPInstanceUID): str(one.PatientName)
        for one in edge.find(PATIENT_ROOT, "IMAGE", PatientName="")
    }
    for dataset in datasets:
        if "PatientName" in dataset:
            dataset.decode()
            wanted = str(dataset.PatientName).rstrip("^= ")
            assert found[str(dataset.SOPInstanceUID)].rstrip("^= ") == wanted
