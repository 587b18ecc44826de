"""The bench itself: what its figures mean, and that the quick run measures everything."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench.reader import Reader
from tests.bench.servers import EDGE, ORTHANC, SERVERS, STORESCP
from tests.bench.table import Line, Table, Unit
from tests.bench.watch import Watch
from tests.bench.workplace import ROOT, BenchError, Scale, Workplace
from tests.fakes import orthanc

TIME = Line("intake", "time", Unit.SECONDS, ahead=True)
PEAK = Line("intake", "peak memory", Unit.MEMORY, at_most=300)


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
    assert [goal.met for goal in table.goals()] == [False, False]


def test_the_table_fits_a_terminal():
    table = Table(list(SERVERS))
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
    scale = Scale(slices=2, object_bytes=0, frames=1, rounds=1)
    with Workplace(scale, tmp_path) as workplace:
        assert [len(part) for part in workplace.study(1).split(2)] == [1, 1]
        with pytest.raises(BenchError, match="another bench"), Workplace(scale, tmp_path):
            pass
        assert workplace.study(1).paths[0].exists()
    assert not (tmp_path / "build" / "bench").exists()


@pytest.mark.skipif(bool(orthanc.missing()), reason="compares with Debian's Orthanc")
def test_a_quick_run_measures_every_server_in_one_table(tmp_path):
    report = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick", "--json", str(report)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # 1 is a missed goal. So short a run can't judge speed, least of all beside other tests.
    assert done.returncode in (0, 1), done.stderr
    assert all(name in done.stdout for name in SERVERS)
    figures = json.loads(report.read_text())
    for line in figures["lines"]:
        spoken = {EDGE, ORTHANC} if line["section"].startswith("WADO") else set(SERVERS)
        assert set(line["figures"]) == spoken
        assert all(figure > 0 for figure in line["figures"].values())
    memory = [goal for goal in figures["goals"] if "holds" in goal["text"]]
    assert len(memory) == 4
    assert all(goal["met"] for goal in memory), memory
    assert not Path(ROOT, "build", "bench").exists()
    assert STORESCP in done.stdout
