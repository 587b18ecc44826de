"""Tools of others against a box of its own: DCMTK's, pynetdicom's, GDCM's, odil's, as they come.

What is stored is asked for again over DICOMweb, and what is found, moved and got is compared with
what was sent: the same UIDs, the same transfer syntaxes, the same pixels.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

from tests import samples
from tests.bench.servers import Edge
from tests.conformance.running import service_of
from tests.journeys.test_sop_classes import instance, write
from tests.ports import free_port

pytestmark = [
    pytest.mark.skipif(shutil.which("getscu") is None, reason="needs Debian's package dcmtk"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PATIENCE = 60.0
TITLE = "TOOL"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
GDCM = pytest.mark.skipif(
    shutil.which("gdcmscu") is None, reason="needs Debian's package libgdcm-tools"
)
ODIL = pytest.mark.skipif(shutil.which("odil") is None, reason="needs Debian's package odil")
MODELS = {"-S": "STUDY", "-P": "PATIENT"}
PDUS = (4096, 16384, 65536, 131072)


@dataclass
class Box:
    """A running edge, and what it was sent."""

    edge: Edge
    store_port: int
    tls_port: int
    folder: Path
    slices: list[Path] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.edge.dicom_port

    def run(self, tool: str, *words: object) -> str:
        """Run a tool that must succeed; what it said."""
        return run(tool, "-aet", TITLE, "-aec", "EDGE", "127.0.0.1", self.port, *words)


def run(*words: object, folder: Path | None = None, statuses: tuple[int, ...] = (0,)) -> str:
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=PATIENCE,
        check=False,
        cwd=folder,
        env=os.environ | {"TCP_NODELAY": "1"},
    )
    said = done.stdout.decode(errors="replace")
    assert done.returncode in statuses, said
    return said


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edge")
    edge = Edge(folder)
    store_port, tls_port = free_port(), free_port()
    written = edge.config.read_text(encoding="utf-8")
    written = written.replace("[dimse]\n", f'[dimse]\ntls_listen = "127.0.0.1:{tls_port}"\n')
    written += (
        f'[[dimse.peer]]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {store_port}\n'
        'may = ["store", "query", "retrieve", "commit", "worklist"]\n'
    )
    edge.config.write_text(written, encoding="utf-8")
    try:
        edge.start()
        made = Box(edge, store_port, tls_port, tmp_path_factory.mktemp("sent"))
        made.slices = samples.write_series(made.folder / "ct", 5, rows=128, columns=128)
        assert made.run("dcmsend", "-v", "+sd", made.folder / "ct").count("(Success)") == 5
        yield made
    finally:
        edge.discard()


@pytest.fixture(scope="module")
def service(box):
    with service_of(box.edge) as made:
        yield made


@pytest.fixture(scope="module")
def sent(box):
    """What was sent, by SOP Instance UID."""
    return {str(one.SOPInstanceUID): one for one in map(pydicom.dcmread, box.slices)}


@pytest.fixture
def keys(sent):
    """Unique keys of a query for its instances, by model."""
    first = next(iter(sent.values()))
    study = [f"StudyInstanceUID={first.StudyInstanceUID}"]
    return {"-S": study, "-P": [f"PatientID={first.PatientID}", *study]}


def words(level, keys):
    """As the options of all these tools have it."""
    return [word for key in [f"QueryRetrieveLevel={level}", *keys] for word in ("-k", key)]


def read(folder: Path) -> dict[str, pydicom.Dataset]:
    found = [pydicom.dcmread(path, force=True) for path in folder.iterdir() if path.is_file()]
    return {str(one.SOPInstanceUID): one for one in found}


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    for uid, one in found.items():
        assert one.PixelData == wanted[uid].PixelData
        assert one.PatientName == wanted[uid].PatientName


def below(keys, sent):
    first = next(iter(sent.values()))
    return [*keys, f"SeriesInstanceUID={first.SeriesInstanceUID}", "SOPInstanceUID"]


@pytest.mark.parametrize("pdu", PDUS)
@pytest.mark.parametrize("model", MODELS)
def test_dcmtk_finds_moves_and_gets_with_any_pdu(box, sent, keys, model, pdu, tmp_path):
    size = ("-pdu", pdu)
    box.run("echoscu", *size)
    box.run("storescu", *size, "--max-send-pdu", pdu, *box.slices)
    asked = words("IMAGE", below(keys[model], sent))
    said = box.run("findscu", model, "-v", *size, *asked)
    assert set(re.findall(r"\(0008,0018\) UI \[([0-9.]+)\]", said)) == set(sent)
    for tool, more in (("movescu", ("+P", box.store_port, "-aem", TITLE)), ("getscu", ("+B",))):
        folder = tmp_path / tool
        folder.mkdir()
        box.run(tool, model, *size, *more, "-od", folder, *words("STUDY", keys[model]))
        assert_same(read(folder), sent)


TLS = ("+tla", "-ic")
"""A peer without a certificate, that believes in the box's."""


def test_dcmtk_stores_and_finds_and_pynetdicom_gets_over_tls(box, sent, keys):
    def secure(tool, *more):
        return run(tool, "-aet", TITLE, "-aec", "EDGE", *TLS, "127.0.0.1", box.tls_port, *more)

    secure("echoscu")
    secure("storescu", *box.slices)
    said = secure("findscu", "-S", "-v", *words("IMAGE", below(keys["-S"], sent)))
    assert set(re.findall(r"\(0008,0018\) UI \[([0-9.]+)\]", said)) == set(sent)
    # DCMTK's movescu and getscu speak no TLS.
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    first, got = next(iter(sent.values())), {}

    def keep(event):
        got[str(event.request.AffectedSOPInstanceUID)] = event.dataset
        return 0x0000

    ae = AE(TITLE)
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(first.SOPClassUID)
    association = ae.associate(
        "127.0.0.1",
        box.tls_port,
        ae_title="EDGE",
        tls_args=(trusting, "localhost"),
        ext_neg=[build_role(first.SOPClassUID, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
    )
    assert association.is_established
    asked = pydicom.Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", first.StudyInstanceUID
    answers = [
        status.Status
        for status, _ in association.send_c_get(asked, StudyRootQueryRetrieveInformationModelGet)
    ]
    association.release()
    assert answers[-1] == 0x0000
    assert_same(got, sent)


PROPOSED = {
    "-xi": "1.2.840.10008.1.2",
    "-xe": "1.2.840.10008.1.2.1",
    "-xb": "1.2.840.10008.1.2.2",
    "-xd": "1.2.840.10008.1.2.1.99",
    "-xs": "1.2.840.10008.1.2.4.70",
    "-xy": "1.2.840.10008.1.2.4.50",
    "-xx": "1.2.840.10008.1.2.4.51",
    "-xv": "1.2.840.10008.1.2.4.90",
    "-xw": "1.2.840.10008.1.2.4.91",
    "-xt": "1.2.840.10008.1.2.4.80",
    "-xu": "1.2.840.10008.1.2.4.81",
    "-xm": "1.2.840.10008.1.2.4.100",
    "-xh": "1.2.840.10008.1.2.4.101",
    "-xn": "1.2.840.10008.1.2.4.102",
    "-xl": "1.2.840.10008.1.2.4.103",
    "-x2": "1.2.840.10008.1.2.4.104",
    "-x3": "1.2.840.10008.1.2.4.105",
    "-xo": "1.2.840.10008.1.2.4.106",
    "-x4": "1.2.840.10008.1.2.4.107",
    "-x5": "1.2.840.10008.1.2.4.108",
    "-xr": "1.2.840.10008.1.2.5",
}
"""What storescu proposes by each of its options, before what everybody knows."""
NATIVE = {"-xi", "-xe", "-xb", "-xd"}
NEWER = {
    "1.2.840.10008.1.2.4.201": "HTJ2K, lossless only",
    "1.2.840.10008.1.2.4.202": "HTJ2K with RPCL",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.4.92": "JPEG 2000 Part 2",
}
"""Those that DCMTK of Debian does not know."""


def stored(service, dataset):
    """An instance as the box gives it back."""
    path = (
        f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}"
        f"/instances/{dataset.SOPInstanceUID}"
    )
    answer = service.get(path, "application/dicom; transfer-syntax=*")
    assert answer.status_code == 200, answer.text
    return pydicom.dcmread(pydicom.filebase.DicomBytesIO(answer.content))


@pytest.mark.parametrize("option", PROPOSED)
def test_storescu_stores_in_every_syntax_that_it_can_propose(box, service, option, tmp_path):
    syntax = PROPOSED[option]
    number = 100 + list(PROPOSED).index(option)
    made = instance(SECONDARY_CAPTURE, number, pixels="native" if option in NATIVE else "frames")
    path = write(tmp_path / "one.dcm", made, syntax)
    box.run("storescu", "-R", option, path)
    found = stored(service, made)
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.PixelData == made.PixelData


def pynetdicom(tool, box, *more, folder=None):
    where = ("127.0.0.1", box.port, "-aet", TITLE, "-aec", "EDGE")
    return run(sys.executable, "-m", "pynetdicom", tool, *where, *more, folder=folder)


@pytest.mark.parametrize("syntax", NEWER)
def test_pynetdicoms_storescu_stores_what_dcmtk_does_not_know(box, service, syntax, tmp_path):
    made = instance(SECONDARY_CAPTURE, 200 + list(NEWER).index(syntax), pixels="frames")
    path = write(tmp_path / "one.dcm", made, syntax)
    assert "0x0000" in pynetdicom("storescu", box, "-v", "-cx", path)
    found = stored(service, made)
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.PixelData == made.PixelData


@pytest.mark.parametrize("model", MODELS)
def test_pynetdicoms_applications_do_their_work(box, sent, keys, model, tmp_path):
    assert "0x0000" in pynetdicom("echoscu", box, "-v")
    said = pynetdicom("findscu", box, model, *words("IMAGE", below(keys[model], sent)))
    assert set(re.findall(r"\(0008,0018\) UI \[([0-9.]+)\]", said)) == set(sent)
    for tool in ("getscu", "movescu"):
        folder = tmp_path / tool
        folder.mkdir()
        more = () if tool == "getscu" else (
            "-aem", TITLE, "--store", "--store-aet", TITLE, "--store-port", box.store_port
        )  # fmt: skip
        pynetdicom(
            tool, box, model, *more, *words("STUDY", keys[model]), "-od", folder, folder=tmp_path
        )
        assert_same(read(folder), sent)


@contextmanager
def storescp(port, folder):
    """DCMTK's receiver."""
    process = subprocess.Popen(
        ["storescp", "-q", "-aet", TITLE, "+B", "-od", str(folder), str(port)]
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            assert time.monotonic() < deadline, "storescp did not start"
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@GDCM
def test_gdcmscu_does_its_work(box, service, sent, tmp_path):
    first = next(iter(sent.values()))
    names, where = ("--aetitle", TITLE, "--call", "EDGE"), ("127.0.0.1", box.port)

    def gdcm(*more):
        # Debian's (3.0) breaks down when it is done, after it has released the association.
        return run("gdcmscu", *more, *names, *where, statuses=(0, -6))

    assert "Assertion" not in gdcm("--echo")
    made = instance(SECONDARY_CAPTURE, 300, pixels="native")
    gdcm("--store", "-i", write(tmp_path / "one.dcm", made, PROPOSED["-xi"]))
    assert stored(service, made).PixelData == made.PixelData
    key = f"20,d={first.StudyInstanceUID}"
    root = ("--studyroot", "--study")
    for level, tag, known in (
        (root, "20,d", first.StudyInstanceUID),
        (("--patientroot", "--patient"), "10,20", first.PatientID),
    ):
        for value, found in ((known, True), ("1.2.3.4", False)):
            said = gdcm("--find", "-D", *level, "--key", "10,10=", "--key", f"{tag}={value}")
            assert "C-Find was successful" in said
            assert bool(re.search(r"\(0000,0900\) .* 65280 ", said)) is found
    # Its own receiver agrees to explicit VR and reads it as implicit: another one takes its place.
    folder = tmp_path / "moved"
    folder.mkdir()
    with storescp(box.store_port, folder):
        words = ("--move", *root, "--key", key, "--port-scp", free_port(), "-o", tmp_path)
        process = subprocess.Popen(list(map(str, ("gdcmscu", *words, *names, *where))))
        try:
            deadline = time.monotonic() + PATIENCE
            while len(list(folder.iterdir())) < len(sent) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            time.sleep(0.5)  # the last file may still be written
            process.kill()  # it waits for what does not come
            process.wait()
    assert_same(read(folder), sent)


@ODIL
def test_odil_does_its_work(box, service, sent, tmp_path):
    first = next(iter(sent.values()))
    where = ("127.0.0.1", box.port, TITLE, "EDGE")
    run("odil", "echo", *where)
    made = instance(SECONDARY_CAPTURE, 400, pixels="native")
    run("odil", "store", *where, write(tmp_path / "one.dcm", made, PROPOSED["-xe"]))
    assert stored(service, made).PixelData == made.PixelData
    keys = ("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={first.StudyInstanceUID}")
    said = run("odil", "find", *where, "study", *keys, "PatientName=")
    assert str(first.StudyInstanceUID) in said
    folder = tmp_path / "got"
    folder.mkdir()
    run("odil", "get", *where, "study", *keys, "--directory", folder)
    assert_same(read(folder), sent)
