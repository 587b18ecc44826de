"""Words of strangers reach no terminal but as text, whichever command prints them."""

from __future__ import annotations

import ast
import asyncio
import io
import logging
from pathlib import Path

import pydicom
import pytest

import edge
from edge import __main__ as main
from edge import config, others
from edge.app import Appliance
from edge.cache.admission import Source
from edge.cache.ledger import Settlement
from edge.commands.words import HarmlessFormatter, say, shown
from edge.dicom.instance import Custody, Origin
from edge.index import lookup, pins
from edge.index.remote import set_archive_state
from edge.opening import Cache
from tests import program
from tests.samples import chunks, ct_series

EVIL = "EVIL\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\nforged: yes"
HARMLESS = r"EVIL\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\nforged: yes"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Müller^Jürgen", "Müller^Jürgen"),
        ("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎"),
        ("山田\u3000太郎", "山田 太郎"),
        ("a\\b", "a\\b"),
        ("", ""),
        ("\x00\t\r\n\x7f", r"\x00\t\r\n\x7f"),
        ("\u2028\u200b\ud800\U000e0001", r"\u2028\u200b\ud800\U000e0001"),
        (EVIL, HARMLESS),
    ],
)
def test_what_is_text_is_shown_as_it_is_and_the_rest_by_its_number(text, same):
    assert shown(text) == same
    assert shown(text).isprintable()


def test_each_line_is_one_line_and_what_an_encoding_lacks_is_no_error():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    say("one\ntwo", "Müller 山", file=file, flush=True)
    assert file.buffer.getvalue() == b"one\\ntwo\nM\\xfcller \\u5c71\n"


def test_a_line_of_the_log_is_harmless_and_a_traceback_keeps_its_lines():
    formatter = HarmlessFormatter("%(levelname)s: %(message)s")
    try:
        int(EVIL)
    except ValueError as error:
        record = logging.LogRecord(
            "edge", logging.INFO, __file__, 1, "said %s", (EVIL,), (type(error), error, None)
        )
    text = formatter.format(record)
    assert text.splitlines()[0] == f"INFO: said {HARMLESS}"
    assert "\x1b" not in text
    assert text.splitlines()[-1].startswith("ValueError: invalid literal")


def test_no_command_prints_by_another_way():
    files = [*Path(edge.__file__).parent.glob("commands/*.py"), Path(main.__file__)]
    assert len(files) > 10
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name in _WAYS:
                    found.append(f"{path.name}: {name}")
    assert found == ["words.py: print"]


_WAYS = (
    *("print", "pprint", "os.write", "traceback.print_exc", "traceback.print_exception"),
    *(f"sys.{name}.{way}" for name in ("stdout", "stderr") for way in ("write", "writelines")),
    *(f"sys.{name}.buffer.write" for name in ("stdout", "stderr")),
)


async def edge_says(path, *words):
    ran = await asyncio.to_thread(program.run, *words, "--config", path)
    return ran.stdout, ran.stderr


async def test_every_list_shows_strangers_words_harmlessly(tmp_path):
    loaded = config.Config(
        appliance=config.Appliance(data_dir=tmp_path / "box"),
        dimse=config.Dimse(listen="127.0.0.1:0"),
        http=config.Http(listen="127.0.0.1:0", tls="off"),
        cloud=config.Cloud((others.Archive("cloud", "http://127.0.0.1:9/dicom-web"),)),
        cache=config.Cache(reserve_bytes=0),
    )
    path = tmp_path / "edge.toml"
    path.write_text(
        f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[cache]\nreserve_bytes = 0\n'
        '[[cloud.archive]]\nname = "cloud"\nurl = "http://127.0.0.1:9/dicom-web"\n'
    )
    async with Appliance(loaded) as box:
        refs = []
        for sample in ct_series(3, rows=16, columns=16):
            dataset = pydicom.dcmread(io.BytesIO(sample.data))
            dataset.SpecificCharacterSet = "ISO_IR 192"
            dataset.PatientName = dataset.StudyDescription = dataset.PatientID = EVIL
            written = io.BytesIO()
            dataset.save_as(written)
            await box.admission.store_instance(
                chunks(written.getvalue()), Source(Origin.CLOUD, "cloud", vouches=True)
            )
            refs.append(sample.ref)
        database = box.cache.database
        await box.cache.trash.put(refs[:1], archive="cloud", reason=EVIL)
        row = await lookup.find_one(database, refs[1].sop_uid)

        def write(db):
            db.execute(
                "UPDATE instances SET custody = 'EDGE_ONLY' WHERE id = ?", (row.instance_id,)
            )
            pins.add(db, pins.Pin("patient", EVIL, EVIL, 1.0, EVIL))

        await database.write(write)
        await box.ledger.settle([Settlement(row.instance_id, Custody.REFUSED, EVIL, 1e12)])
    async with Cache(loaded) as cache:
        await cache.database.write(
            lambda db: set_archive_state(
                db, "cloud", online=False, reason=EVIL, lasting=False, now=1.0
            )
        )
    names = {
        ("trash", "list"): True,
        ("sync", "list"): True,
        ("sync", "absent"): False,
        ("pin", "list"): True,
        ("token", "list"): False,
        ("status", "--studies"): True,
    }
    for words, names_it in names.items():
        said, errors = await edge_says(path, *words)
        assert (HARMLESS in said) >= names_it, (words, said, errors)
        for text in (said, errors):
            assert all(line.isprintable() for line in text.split("\n")), (words, text)
            assert "\nforged" not in text


async def test_an_error_is_shown_harmlessly_too(tmp_path):
    path = tmp_path / "edge.toml"
    path.write_text("[appliance]\nname = 1\n")
    said, errors = await edge_says(path.with_name("no\x1b[2J.toml"), "status")
    assert (said, "\x1b" in errors) == ("", False)
    assert r"no\x1b[2J.toml" in errors
