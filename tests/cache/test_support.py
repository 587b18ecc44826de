"""A bundle for support says how the box is, and names neither a patient nor a secret."""

from __future__ import annotations

import io
import json
import zipfile
from functools import partial
from pathlib import Path

from edge import config, others
from edge.cache.support import bundle, name_of, plain_config
from edge.logs import Line, reference

KEY = bytes(range(32))
UID = "1.2.826.0.1.3680043.8.498.4711"
SECRET = "hunter-2-hunter"
NOW = 1_900_000_000.0


def settings():
    auth = others.Auth(kind="basic", user="edge", password=SECRET)
    archive = others.Archive("cloud", f"https://edge:{SECRET}@archive.example/dicom-web", auth=auth)
    return config.Config(
        appliance=config.Appliance(name="St. Brigid's", data_dir=Path("/var/lib/edge")),
        cloud=config.Cloud((archive,)),
        cache=config.Cache(
            pin=(
                "patient 4711 of CLINIC",
                "PATIENT 4711",
                f"Study {UID}",
                "modality MG within 2 years",
            )
        ),
    )


def opened(made):
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


def make(lines=(), status=None):
    refer = partial(reference, KEY)
    return opened(bundle(settings(), status or {}, b'{"peers":[]}', lines, refer, NOW))


def test_no_secret_and_no_patient_of_the_configuration_is_in_it():
    files = make()
    for text in files.values():
        assert SECRET not in text
        assert "4711" not in text
    found = json.loads(files["config.json"])
    [archive] = found["cloud"]["archive"]
    assert archive["url"] == "https://***@archive.example/dicom-web"
    assert archive["auth"] == plain_config(settings().cloud.archive[0].auth)
    assert archive["auth"]["user"] == "edge"
    assert archive["auth"]["password"] == "***"
    assert archive["auth"]["token"] == ""
    named = ["patient ***", "patient ***", "study ***"]
    assert found["cache"]["pin"] == [*named, "modality MG within 2 years"]
    assert found["appliance"]["data_dir"] == "/var/lib/edge"


def test_every_secret_of_the_configuration_is_one_by_its_field():
    """Whatever section gets another: what shows in no repr is not in the bundle."""
    oidc = others.Oidc(issuer="https://issuer", client_id="x", client_secret=SECRET)
    found = json.dumps(plain_config(config.Access(oidc=oidc)))
    assert SECRET not in found
    assert "https://issuer" in found


def test_uids_are_references_wherever_they_stand():
    line = Line(1, NOW, "ERROR", "edge.sync", f"instance {UID} was refused\n  again {UID}")
    files = make([line], {"line": {"studies": [UID]}})
    for text in files.values():
        assert UID not in text
    known = reference(KEY, UID)
    assert known in files["log.txt"]
    assert known in files["status.json"]


def test_words_of_strangers_begin_no_line_of_the_log():
    line = Line(1, NOW, "INFO", "edge.dimse", "called\n2030 ERROR root: \x1b[2Jnothing")
    [first, second] = make([line])["log.txt"].splitlines()
    assert first.endswith("INFO edge.dimse: called")
    assert second == "    2030 ERROR root: ·[2Jnothing"


def test_it_says_what_is_in_it_and_which_programs_it_is_made_of():
    files = make()
    assert set(files) == {
        "README.txt",
        "config.json",
        "status.json",
        "doctor.json",
        "versions.json",
        "log.txt",
    }
    for name in files:
        assert name == "README.txt" or name in files["README.txt"]
    versions = json.loads(files["versions.json"])
    assert versions["edge"]
    assert versions["packages"]["aiohttp"]


def test_its_name_is_that_of_the_box_and_the_moment():
    assert name_of(settings(), NOW) == "st-brigid-s-support-20300317-174640.zip"
