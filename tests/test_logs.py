"""Lines of the log have references in the place of UIDs."""

from __future__ import annotations

import ast
import logging
import sys
from functools import partial
from pathlib import Path

import pytest

import edge
from edge.errors import InstanceNotFound
from edge.logs import Nameless, Recent, begin_to_refer, recent, reference, without_uids

KEY = bytes(range(32))
UID = "1.2.826.0.1.3680043.8.498.4711"
OURS = reference(KEY, UID)


def line(formatter, message, *values, exc_info=None):
    record = logging.LogRecord("edge", logging.INFO, "file", 1, message, values, exc_info)
    return formatter.format(record)


@pytest.fixture
def formatter():
    made = Nameless("%(levelname)s %(name)s: %(message)s")
    made.refer = partial(reference, KEY)
    return made


def test_a_reference_is_the_same_in_every_line_of_a_box_and_another_on_another():
    assert reference(KEY, UID) == OURS
    assert reference(KEY[::-1], UID) != OURS != reference(KEY, UID + "1")
    assert len(OURS) == len("uid:0123456789")


@pytest.mark.parametrize(
    "uid",
    [
        UID,
        "2.25.329800735698586629295641978511506172918",
        "1.2.3.4.5",
        "1.2.84000.7",
        "01.02.03.04.05",
        "9.9.9.9.9.9",
        "1.2.840.113619.2.55.3",
    ],
)
def test_uids_do_not_get_through_wherever_they_stand(formatter, uid):
    for text in ("{}", "instance {}: gone", "GET /studies/{}/series?x={}", "({}),{}.", "a{}b"):
        written = line(formatter, text.format(uid, uid).replace("%", "%%"))
        assert uid not in written
        assert reference(KEY, uid) in written


def test_they_do_not_get_through_in_a_traceback_either(formatter):
    def lose():
        raise InstanceNotFound(f"instance {UID} is nowhere")

    def fail():
        try:
            lose()
        except InstanceNotFound as error:
            raise ValueError(UID) from error

    try:
        fail()
    except ValueError:
        written = line(formatter, "it failed", exc_info=sys.exc_info())
    assert UID not in written
    assert written.count(OURS) == 2
    assert "Traceback" in written


@pytest.mark.parametrize(
    "text",
    [
        "from 192.168.100.23:11112",
        "from 1.2.3.4",
        "took 12.5 ms",
        "OpenSSL 3.0.15",
        "2030-01-01T00:00:00+0000",
        "SOP class 1.2.840.10008.5.1.4.1.1.2 in 1.2.840.10008.1.2.4.50",
    ],
)
def test_what_says_nothing_of_anybody_stays(formatter, text):
    assert line(formatter, text) == f"INFO edge: {text}"


def test_without_a_key_they_are_hidden_and_with_one_they_have_names():
    handler = logging.NullHandler()
    handler.setFormatter(Nameless("%(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        assert line(handler.formatter, "of %s", UID) == "of uid:hidden"
        begin_to_refer(partial(reference, KEY))
        assert line(handler.formatter, "of %s", UID) == f"of {OURS}"
    finally:
        root.removeHandler(handler)


def test_no_part_of_the_package_writes_a_log_by_another_way():
    found = []
    folder = Path(edge.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [*getattr(node, "bases", []), getattr(node, "func", None)]
            said = {ast.unparse(name) for name in names if name is not None}
            if said & _WAYS:
                found.append((path.relative_to(folder).as_posix(), *sorted(said & _WAYS)))
    assert sorted(found) == [
        ("__main__.py", "logging.StreamHandler"),
        ("__main__.py", "logging.basicConfig"),
        ("logs.py", "logging.Formatter"),
        ("logs.py", "logging.Handler"),
    ]


_WAYS = {
    *("logging.basicConfig", "logging.Formatter", "logging.Handler", "logging.StreamHandler"),
    *("logging.FileHandler", "logging.config.dictConfig", "logging.config.fileConfig"),
    *("handlers.SysLogHandler", "logging.handlers.SysLogHandler", "syslog.syslog"),
    *("traceback.print_exc", "traceback.print_exception", "warnings.warn", "faulthandler.enable"),
}
"""Foreign ways to standard error, a file or the journal, past the formatter."""


def told(kept, message, level=logging.INFO):
    kept.handle(logging.LogRecord("edge.x", level, "file", 1, message, (), None))


def test_the_last_lines_are_kept_in_their_order_and_no_more():
    kept = Recent(most=3)
    for number in range(5):
        told(kept, f"line {number}")
    assert [line.text for line in kept.lines()] == ["line 2", "line 3", "line 4"]
    assert [line.number for line in kept.lines(after=4)] == [5]


def test_lines_that_are_kept_have_references_and_an_end():
    kept = Recent()
    told(kept, f"instance {UID}")
    kept.formatter.refer = partial(reference, KEY)
    told(kept, f"instance {UID}")
    told(kept, "x" * 100_000)
    before, after, long = (line.text for line in kept.lines())
    assert before == "instance uid:hidden"
    assert after == f"instance {OURS}"
    assert len(long) < 10_000


def test_there_is_one_that_keeps_them_in_a_process():
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        kept = recent()
        assert recent() is kept
        assert root.handlers.count(kept) == 1
        begin_to_refer(partial(reference, KEY))
        assert kept.formatter.refer is not None
    finally:
        root.handlers[:] = before


def test_any_text_can_be_freed_of_uids():
    text = f'{{"uid": "{UID}", "class": "1.2.840.10008.1.2", "at": "10.0.0.7"}}'
    assert without_uids(text, partial(reference, KEY)) == text.replace(UID, OURS)
    assert without_uids(text, None) == text.replace(UID, "uid:hidden")
