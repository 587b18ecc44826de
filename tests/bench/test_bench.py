"""The bench itself: what its figures mean, and that the quick run measures everything."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from tests.bench.__main__ import SECTIONS
from tests.bench.clients import sender
from tests.bench.compare import Comparison, Way
from tests.bench.crowd import Crowd, Outcome, Request
from tests.bench.filling import Made, files
from tests.bench.reader import Reader
from tests.bench.servers import EDGE, ORTHANC, SERVERS, STORESCP, UNCHECKED, UNRECORDED
from tests.bench.stand import Stand
from tests.bench.table import Line, Table, Unit
from tests.bench.watch import Watch, processor_seconds
from tests.bench.workplace import QUICK, ROOT, BenchError, Workplace
from tests.fakes import orthanc

TIME = Line("intake", "time", Unit.SECONDS, ahead=True)
PEAK = Line("intake", "peak memory", Unit.MEMORY, at_most=300)
RATE = Line("retrieval", "study", Unit.THROUGHPUT, at_least=800)


def test_of_several_times_the_best_counts_and_of_several_peaks_the_worst():
    table = Table([EDGE])
    for figure in (2.0, 1.0, 3.0):
        table.add(TIME, EDGE, figure)
        table.add(PEAK, EDGE, figure)
    assert table.figure(TIME, EDGE) == 1.0
    assert table.figure(PEAK, EDGE) == 3.0


@pytest.mark.parametrize(
    ("unit", "edge", "peer", "ratio"),
    [(Unit.SECONDS, 2, 3, 1.5), (Unit.FREQUENCY, 3, 2, 1.5), (Unit.MEMORY, 200, 100, 0.5)],
)
def test_the_ratio_is_above_one_where_the_edge_is_ahead(unit, edge, peer, ratio):
    line, table = Line("any", "line", unit), Table([EDGE, ORTHANC])
    table.add(line, EDGE, edge)
    table.add(line, ORTHANC, peer)
    assert table.ratio(line) == ratio


def test_goals_are_met_or_missed_and_unchecked_where_nobody_was_measured():
    table = Table([EDGE, ORTHANC])
    table.add(TIME, EDGE, 2.0)
    assert table.goals() == []
    table.add(TIME, ORTHANC, 1.0)
    table.add(PEAK, EDGE, 299.0)
    assert [goal.met for goal in table.goals()] == [False, True]
    table.add(PEAK, EDGE, 301.0)
    table.add(RATE, EDGE, 800.0)
    assert [goal.met for goal in table.goals()] == [False, False, True]


def test_the_best_of_all_others_is_the_goal_where_a_line_says_so():
    line, table = Line("sync", "all there", Unit.SECONDS, first=True), Table(list(SERVERS))
    for name, figure in ((EDGE, 2.0), (ORTHANC, 3.0), (STORESCP, 2.5)):
        table.add(line, name, figure)
    assert [goal.met for goal in table.goals()] == [True]
    table.add(line, STORESCP, 1.9)
    (goal,) = table.goals()
    assert not goal.met
    assert "0.95 : 1" in goal.text


def test_the_table_fits_a_terminal():
    table = Table(list(SERVERS))
    table.note("word " * 100)
    for name in SERVERS:
        table.add(TIME, name, 1234.5678)
    assert max(map(len, table.as_text().splitlines())) <= 100


@contextmanager
def _answering(*answers: bytes) -> Iterator[int]:
    """A server on loopback that gives these answers to the first requests of one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                for answer in answers:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join(20)


def test_the_reader_takes_lengths_chunks_and_bodies_to_the_end_of_the_connection():
    large = bytes(range(256)) * 8192
    chunked = b"".join(
        b"%x\r\n%b\r\n" % (len(large[at : at + 99999]), large[at : at + 99999])
        for at in range(0, len(large), 99999)
    )
    answers = (
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(large), large),
        b"HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunked,
        b"HTTP/1.1 404 No\r\nContent-Type: text/plain\r\n\r\n%b" % large,
    )
    with _answering(*answers) as port, Reader(port, {}, seconds=10) as reader:
        for status in (200, 206, 404):
            answer = reader.get("/", keep=True)
            assert (answer.status, answer.length) == (status, len(large))
            assert answer.body == large
    assert answer.content_type == "text/plain"


def test_the_reader_says_when_an_answer_ends_too_early():
    with (
        _answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort") as port,
        Reader(port, {}, seconds=10) as reader,
        pytest.raises(BenchError),
    ):
        reader.get("/")


def test_the_reader_sends_what_is_in_memory_and_in_files(tmp_path):
    path = tmp_path / "body"
    path.write_bytes(b"of a file")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        taken = bytearray()

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(10)
                while not taken.endswith(b"end"):
                    taken.extend(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=take)
        thread.start()
        with Reader(server.getsockname()[1], {}, seconds=10) as reader:
            answer = reader.post("/x", "text/plain", [b"in memory, ", path, b", end"])
        thread.join(20)
    head, _, body = bytes(taken).partition(b"\r\n\r\n")
    assert answer.status == 200
    assert b"POST /x HTTP/1.1\r\n" in head
    assert b"\r\nContent-Length: 25" in head
    assert body == b"in memory, of a file, end"


def test_clients_go_through_their_scripts_once_or_for_as_long_as_something_runs():
    with Crowd(3) as crowd, sender() as web:
        scripts = [[Request("/10", least=10), Request("/20", least=20)]] * 3
        once = crowd.ask(web, scripts)
        assert (len(once.waits), once.length) == (6, 90)
        during = crowd.ask(web, scripts[:2], during=lambda: time.sleep(0.2))
        assert during.seconds > 0.1
        assert len(during.waits) >= 2


def test_an_answer_that_is_not_the_one_expected_is_no_figure():
    with (
        Crowd(1) as crowd,
        sender() as web,
        pytest.raises(BenchError, match="status 200, 10 bytes"),
    ):
        crowd.ask(web, [[Request("/10", least=11)]])


def test_of_a_hundred_waits_the_percentile_is_one_of_them():
    outcome = Outcome(1.0, tuple(number / 1000 for number in range(1, 201)), 0)
    assert outcome.percentile(50) == pytest.approx(100)
    assert outcome.percentile(99) == pytest.approx(198)
    assert outcome.per_second == 200


def test_studies_that_are_made_up_are_instances_of_their_own():
    found = [pydicom.dcmread(io.BytesIO(data)) for data in files(Made(7), 3)]
    assert [one.SOPInstanceUID for one in found] == [Made(7).sop_uid(number) for number in range(3)]
    assert {one.StudyInstanceUID for one in found} == {Made(7).study_uid}
    assert {one.PatientID for one in found} == {Made(6).patient_id}
    assert {one.StudyDate for one in found} == {Made(7).study_date}
    assert len({Made(number).study_date for number in range(3650)}) == 3650


def test_children_count_in_the_peak_of_memory():
    child = "import time; held = b'x' * 50_000_000; print(flush=True); time.sleep(60)"
    parent = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\nprint(flush=True)\nsys.stdin.read()\nchild.kill()\nchild.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        with Watch(process.pid) as watch:
            process.stdout.readline()
        process.communicate(timeout=30)
    assert watch.peak_bytes > 50_000_000


def test_only_one_bench_works_in_a_repository_and_leaves_nothing(tmp_path):
    scale = replace(QUICK, slices=2, object_bytes=0)
    with Workplace(scale, tmp_path) as workplace:
        assert [len(part) for part in workplace.study(1).split(2)] == [1, 1]
        with pytest.raises(BenchError, match="another bench"), Workplace(scale, tmp_path):
            pass
        assert workplace.study(1).paths[0].exists()
    assert not (tmp_path / "build" / "bench").exists()


def test_keys_are_measured_without_any_server(tmp_path):
    report = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "keys", "--quick", "--json", str(report)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    lines = json.loads(report.read_text())["lines"]
    assert {line["section"] for line in lines} == {"keys of 2,000 studies"}
    assert len(lines) == 4
    assert all(line["figures"][EDGE] > 0 for line in lines)


@pytest.mark.parametrize(
    ("section", "without", "ways", "things"),
    [
        ("access", UNCHECKED, {"peer by name", "token", "session", "Basic"}, 8),
        ("audit", UNRECORDED, {"recorded"}, 7),
    ],
)
def test_the_edge_is_compared_with_itself_without_them(tmp_path, section, without, ways, things):
    report = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", section, "--quick", "--json", str(report)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    # 1 is a missed goal. So short a run can't judge it.
    assert done.returncode in (0, 1), done.stderr
    figures = json.loads(report.read_text())
    lines = figures["lines"]
    assert len({line["section"] for line in lines}) == things
    assert all(line["figures"][EDGE] >= 0 for line in lines)
    goals = {goal["text"].split(": ")[2] for goal in figures["goals"]}
    assert goals == ways
    assert without not in done.stdout  # it is no server of the table


def test_the_best_of_all_turns_is_compared_and_two_of_the_same_are_the_noise(monkeypatch):
    comparison = Comparison("any", "without", kept=90, processor=105)
    taken = iter([(100.0, 1.0), (90.0, 1.2), (96.0, 1.1), (50.0, 2.0), (80.0, 1.0), (104.0, 1.0)])
    monkeypatch.setattr(comparison, "_run", lambda _: next(taken))
    without, other = (Way(name, None, None) for name in ("without", "with"))
    for _ in range(2):
        comparison.take("work", Unit.FREQUENCY, without, [other])
    table = Table([EDGE])
    comparison.tell(Stand(None, None, QUICK, table, [EDGE]))
    assert {line["title"]: line["figures"][EDGE] for line in table.as_json()} == {
        "without": 102,
        "two of that differ by": pytest.approx(4 / 1.02),
        "… in processor time by": 0,
        "with": 90,
        "with: speed kept": pytest.approx(90 / 1.02),
        "with: processor time": 100,
    }
    assert [goal.met for goal in table.goals()] == [False, True]


def test_processor_time_of_another_process_is_exact():
    used = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", used], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        assert 0.2 <= processor_seconds(process.pid) < 2
        process.communicate(b"\n", timeout=30)


@pytest.mark.skipif(bool(orthanc.missing()), reason="compares with Debian's Orthanc")
def test_a_quick_run_measures_every_server_in_one_table(tmp_path):
    report = tmp_path / "figures.json"
    sections = [name for name in SECTIONS if name not in ("access", "audit")]  # see above
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *sections, "--quick", "--json", str(report)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    # 1 is a missed goal. So short a run can't judge speed, least of all beside other tests.
    assert done.returncode in (0, 1), done.stderr
    assert all(name in done.stdout for name in SERVERS)
    figures = json.loads(report.read_text())
    for line in figures["lines"]:
        if line["section"].startswith(("sync", "a terrible line", "keys")):
            assert line["figures"][EDGE] > 0
            continue
        is_web = line["section"].startswith(("WADO", "STOW", "QIDO", "C-FIND", "C-MOVE"))
        spoken = {EDGE, ORTHANC} if is_web else set(SERVERS)
        assert set(line["figures"]) == spoken
        assert all(figure > 0 for figure in line["figures"].values())
    memory = [goal for goal in figures["goals"] if "peak memory" in goal["text"]]
    assert len(memory) == 6
    assert all(goal["met"] for goal in memory), memory
    assert sum(line["section"].startswith("sync") for line in figures["lines"]) == 6
    assert not Path(ROOT, "build", "bench").exists()
    assert STORESCP in done.stdout
