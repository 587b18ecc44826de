"""``edge cloud test``, as a technician sees it: one line a step, and the exit status."""

import json
import os
import subprocess
import sys

import pytest

from tests.fakes import orthanc
from tests.fakes.orthanc import Orthanc

STEPS = ["name", "connect", "tls", "clock", "login", "search", "store", "find", "retrieve"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    if why := orthanc.missing():
        pytest.skip(why)
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def edge(tmp_path):
    """Runs ``edge cloud test`` with these archives: (name, url, user, password)."""

    def run(*words, archives=(), **environ):
        path = tmp_path / "edge.toml"
        text = f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n'
        for number, (name, url, user, password) in enumerate(archives):
            text += (
                f'[[cloud.archive]]\nname = "{name}"\nurl = "{url}"\nkind = "orthanc"\n'
                f'role = "{"copy" if number else "primary"}"\n'
                f'auth = {{ kind = "basic", user = "{user}", password = "{password}" }}\n'
            )
        path.write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "edge", "cloud", "test", *words, "--config", str(path)],
            capture_output=True,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | environ,
            timeout=60,
            check=False,
        )

    return run


def test_every_step_is_a_line_and_the_archive_is_as_it_was(edge, archive):
    ran = edge(archives=[("hospital", archive.dicomweb, *archive.auth)])
    lines = ran.stdout.decode().splitlines()
    assert ran.returncode == 0, ran
    assert lines[0] == f"archive hospital: {archive.dicomweb}"
    ticked = [line.split()[1] for line in lines if line.startswith("  ✓")]
    assert ticked == [step for step in [*STEPS, "delete"] if step != "tls"]
    assert all(" ms " in line for line in lines if line.startswith("  ✓"))
    assert archive.request("GET", "/instances").json() == []


def test_what_failed_has_a_cross_and_what_to_do_and_nothing_after_it(edge, archive):
    ran = edge(archives=[("hospital", archive.dicomweb, "edge", "not-the-password")])
    lines = ran.stdout.decode().splitlines()
    assert ran.returncode == 1
    assert lines[-2].startswith("  ✗ login")
    assert "wrong credentials" in lines[-2]
    assert lines[-1].strip() == "check user and password, or the token"
    assert b"not-the-password" not in ran.stdout + ran.stderr


def test_programs_get_all_archives_in_one_document(edge, archive, free_port):
    nobody = f"http://127.0.0.1:{free_port()}/dicom-web"
    archives = [("hospital", archive.dicomweb, *archive.auth), ("nobody", nobody, "u", "p")]
    ran = edge("--json", archives=archives)
    assert ran.returncode == 1
    first, second = json.loads(ran.stdout)["archives"]
    assert (first["name"], first["works"]) == ("hospital", True)
    assert [step["step"] for step in first["steps"]] == [*STEPS, "delete"]
    assert (second["name"], second["works"]) == ("nobody", False)
    last = second["steps"][-1]
    assert (last["step"], last["verdict"]) == ("connect", "failed")
    assert "refuses the connection" in last["found"]
    assert last["hint"]
    assert last["milliseconds"] >= 0

    ran = edge("hospital", "--json", archives=archives)
    assert ran.returncode == 0
    assert [it["name"] for it in json.loads(ran.stdout)["archives"]] == ["hospital"]


def test_an_archive_whose_secret_can_not_be_opened_hides_no_other(edge, archive):
    sound = ("hospital", archive.dicomweb, *archive.auth)
    ran = edge("--json", archives=[("lost", archive.dicomweb, "u", "sealed:AQ"), sound])
    assert ran.returncode == 1
    first, second = json.loads(ran.stdout)["archives"]
    assert (first["name"], first["works"], first["steps"]) == ("lost", False, [])
    assert (second["name"], second["works"]) == ("hospital", True)
    assert b"archive lost: cloud.archive.0.auth.password is not a whole sealed secret" in ran.stderr


def test_an_archive_that_is_not_configured(edge):
    ran = edge("other", archives=[("hospital", "http://127.0.0.1:1", "u", "p")])
    assert ran.returncode == 2
    assert b"no archive is called other" in ran.stderr
    assert b"there are: hospital" in ran.stderr
    ran = edge()
    assert ran.returncode == 2
    assert b"no archive is configured" in ran.stderr


def test_a_terminal_without_ticks_gets_words(edge, free_port):
    nobody = f"http://127.0.0.1:{free_port()}"
    ran = edge(archives=[("nobody", nobody, "u", "p")], PYTHONIOENCODING="ascii")
    assert b"\n  ok name" in ran.stdout
    assert b"\n  FAILED connect" in ran.stdout
    assert b"Traceback" not in ran.stderr
