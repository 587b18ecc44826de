"""The command line in this process: its exit status, its log, and ends that are nobody's fault."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

import edge.app
from edge.__main__ import main
from edge.app import Appliance


def write(tmp_path, more=""):
    path = tmp_path / "edge.toml"
    path.write_text(f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n{more}')
    return str(path)


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "edge", *words],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_a_wrong_role_is_answered_with_the_roles(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["token", "create", "--role", "king"])
    assert ended.value.code == 2
    assert "technologist" in capsys.readouterr().err


def test_the_demonstration_takes_no_configuration_that_it_would_not_use(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "--config", "edge.toml"])
    assert ended.value.code == 2
    assert "--config" in capsys.readouterr().err


def test_the_demonstration_takes_none_before_it_either(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--config", "edge.toml", "demo"])
    assert ended.value.code == 2
    assert "demo takes no --config" in capsys.readouterr().err


def test_the_configuration_may_be_named_before_a_command_and_behind_it(
    tmp_path, capsys, monkeypatch
):
    path, other = write(tmp_path), str(tmp_path / "none.toml")
    monkeypatch.setenv("EDGE_CONFIG", other)
    before = ["--config", path, "token", "list"]
    behind = ["--config", other, "token", "list", "--config", path]
    between = ["--config", other, "token", "--config", path, "list"]
    last = ["token", "--config", other, "list", "--config", path]
    for words in (before, behind, between, last):
        main(words)
        said = capsys.readouterr().err
        assert f"there is no box in appliance.data_dir = {tmp_path / 'box'}" in said, words
    for words in (["token", "list"], ["--config", path, "token", "list", "--config", other]):
        main(words)
        assert "none.toml" in capsys.readouterr().err, words


@pytest.mark.parametrize("words", [[], ["status"], ["token"], ["token", "list"]])
def test_every_help_says_where_the_configuration_may_be_named(words, capsys):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    assert "--config FILE" in capsys.readouterr().out


def test_help_comes_without_what_takes_long_to_import():
    code = (
        "import sys, edge.__main__ as m\n"
        "try: m.main(['--version'])\n"
        "except SystemExit: print(sorted({'pydicom', 'aiohttp', 'edge.app'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_the_service_loads_no_decoders():
    code = (
        "import sys, edge.__main__ as program\n"
        "program._leave_out_decoders()\n"
        "import edge.app, edge.demo\n"
        "print([name for name in ('gdcm', 'numpy', 'PIL') if sys.modules.get(name)])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_what_commands_stand_on_loads_nothing_of_doors_and_archives():
    code = (
        "import sys, edge.__main__ as program\n"
        "program._leave_out_decoders()\n"
        "import edge.opening\n"
        "print([name for name in ('aiohttp', 'jinja2', 'pynetdicom', 'watchdog', 'edge.app',"
        " 'edge.cloud.transport', 'edge.dimse', 'edge.syncing') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


LINE = "import logging, edge.__main__ as m; m._log_to_stderr(); logging.getLogger('edge').info('x')"


def log_line(environ):
    """One line of the log, as it is written to a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as log:
        stream = os.fstat(writing)
        environ = {
            name: value.format(f"{stream.st_dev}:{stream.st_ino}")
            for name, value in environ.items()
        }
        subprocess.run(
            [sys.executable, "-c", LINE], stderr=writing, env=os.environ | environ, check=True
        )
        os.close(writing)
        return log.read()


def test_log_lines_have_a_time_unless_the_journal_writes_its_own():
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO edge: x\n", log_line({"JOURNAL_STREAM": ""})
    )
    assert log_line({"JOURNAL_STREAM": "{}"}) == "INFO edge: x\n"
    # A pipe below a unit of systemd is not the journal.
    assert log_line({"JOURNAL_STREAM": "1:1"}).endswith(" INFO edge: x\n")
    assert logging.getLogger("edge").level == logging.NOTSET


QUOTING = """
import logging, edge.__main__ as main
main._log_to_stderr()
import pydicom
dataset = pydicom.Dataset()
dataset.PatientBirthDate = "ROE^JANE"
pydicom.uid.UID("ROE^JANE")
logging.getLogger("aiohttp.server").error("ROE^JANE")
logging.getLogger("edge").info("the end")
"""


def test_libraries_that_quote_values_say_nothing():
    ran = subprocess.run(
        [sys.executable, "-c", QUOTING], capture_output=True, text=True, check=True
    )
    assert ran.stderr.endswith("INFO edge: the end\n")
    assert "JANE" not in ran.stderr + ran.stdout


@pytest.fixture
def box(tmp_path):
    """The configuration of a box that was started once, on a disk of its own."""
    (tmp_path / "box" / "lost+found").mkdir(parents=True)
    path = write(
        tmp_path, '[dimse]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "127.0.0.1:0"\ntls = "off"\n'
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "serve", "--config", path],
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "ready: " in line:
            break
    process.terminate()
    process.stderr.close()
    assert process.wait(30) == 0
    return path, lines


def test_a_new_box_is_announced_and_status_says_when_it_is_not_running(box, tmp_path):
    path, lines = box
    assert [line for line in lines if "WARNING" in line and "made a new box in" in line], lines
    ran = run("status", "--config", path)
    assert ran.returncode == 1
    assert ran.stdout.startswith("The service is not running: nothing comes in.")

    tokens = run("token", "list", "--config", path)
    assert (tokens.returncode, tokens.stdout) == (0, "")
    assert "there are no tokens" in tokens.stderr


def test_a_new_box_is_announced_even_if_it_can_not_be_started_yet(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = write(
            tmp_path,
            f'[dimse]\nlisten = "127.0.0.1:0"\n[http]\nlisten = "127.0.0.1:{port}"\ntls = "off"\n',
        )
        ran = run("serve", "--config", path)
    assert ran.returncode == 2
    assert "can't be listened on" in ran.stderr
    assert "made a new box in" in ran.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_that_takes_long_is_ended_as_soon_as_it_is_told(tmp_path, monkeypatch, number):
    started = []

    class Slow(Appliance):
        async def __aenter__(self):
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
            started.append(self)

    monkeypatch.setattr(edge.app, "Appliance", Slow)
    assert main(["serve", "--config", write(tmp_path)]) == 0
    assert not started


def test_a_reader_that_has_seen_enough_gets_no_complaint(box):
    path, _ = box
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "edge", "status", "--config", path],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert process.stderr == ""
