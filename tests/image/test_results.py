"""What was last seen in QEMU is kept in a form that can be believed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess

import pytest

from tests.image.figure import Figure
from tests.image.memory import Memory
from tests.image.results import FILE, KINDS, Result, main, merged, unseen, write
from tests.image.results import read as read_results
from tests.image.studies import instances

LINE = "2026-11-30  0123456789ab+ passed        61.2 s      test_qemu.py::test_flashed_it_boots"


def test_a_line_is_read_as_it_is_written():
    one = Result.of(LINE)
    assert str(one) == LINE
    figure = Result("2026-11-30", "0123456789ab", "figure", 500.0, "", "… slices of a CT (goal 3)")
    assert Result.of(str(figure)) == figure


@pytest.mark.parametrize(
    "line",
    [
        "",
        LINE.replace("2026-11-30", "2026-11-31"),
        LINE.replace("2026-11-30", "yesterday"),
        LINE.replace("0123456789ab", "a commit"),
        LINE.replace("passed", "fine  "),
        LINE.replace("61.2", "fast"),
        LINE.partition("test_qemu")[0].rstrip(),
    ],
)
def test_another_form_is_no_result(line):
    with pytest.raises(ValueError, match=r"form|day|month|isoformat"):
        Result.of(line)


def test_what_is_run_again_takes_the_place_of_its_former_line(tmp_path):
    first = [Result("2026-11-01", "0123456789ab", "passed", 1.0, "s", name) for name in "ba"]
    again = [Result("2026-11-02", "ba9876543210", "failed", 2.0, "s", "b")]
    path = tmp_path / "results.txt"
    write(merged(first, again), path)
    assert [(one.name, one.kind) for one in read_results(path)] == [
        ("a", "passed"),
        ("b", "failed"),
    ]
    assert read_results(tmp_path / "none.txt") == []


def test_what_is_kept_in_the_repository_has_that_form(capsys):
    kept = read_results(FILE)
    assert kept == merged(kept, [])
    assert len({one.name for one in kept}) == len(kept)
    assert {one.kind for one in kept} <= set(KINDS)
    assert main() == 0
    said = capsys.readouterr().out
    assert f"{len(kept)} lines" in said


def test_what_was_never_seen_is_named():
    first = Result.of(LINE.replace("test_flashed_it_boots", "test_flashed_it_boots_and_serves"))
    left = unseen([first])
    assert first.name not in left
    assert "test_qemu.py::test_the_power_button_ends_it_in_order" in left
    of_one_disk = Result.of(LINE.partition("test_qemu")[0] + left[-1] + "[disk]")
    assert left[-1] not in unseen([of_one_disk])


def test_ci_on_a_machine_that_cannot_build_the_image_says_so_and_what_was_last_seen():
    """Such as a container: root of it may not mount."""
    command = ["bash", ".ci/run", "--image"]
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("needs setpriv")
        command = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", *command]
    done = subprocess.run(command, cwd=FILE.parent.parent, capture_output=True, check=False)
    assert done.returncode == 2, done.stderr
    assert b"NOT RUN HERE" in done.stderr
    assert f"{len(read_results(FILE))} lines" in done.stdout.decode()


def test_what_a_machine_says_of_its_memory_is_read():
    names = ("Shmem", "SUnreclaim", "KernelStack", "PageTables", "Percpu", "VmallocUsed")
    processes = [["a.service", "a", 5, 3], ["b.service", "b", 9, 8]]
    said = {"taken": 250, "sizes": dict.fromkeys(names, 2), "processes": processes}
    seen = Memory.of(json.dumps(said))
    assert (seen.taken, seen.kernel, seen.files) == (250, 10, 2)
    assert seen.processes == (("b.service", "b", 9, 8), ("a.service", "a", 5, 3))


def test_a_goal_that_is_missed_is_said():
    assert str(Figure("memory", 301, "MB", 300)).endswith("goal 300  MISSED")
    assert not Figure("memory", 300, "MB", 300).is_missed
    assert not Figure("time", 1e9, "s").is_missed


def test_the_instances_of_an_answer_are_told_apart():
    body = b"--x\r\nContent-Type: a\r\n\r\none\r\n--x\r\nContent-Type: a\r\n\r\ntwo\r\n--x--\r\n"
    assert list(instances(body)) == [b"one", b"two"]
