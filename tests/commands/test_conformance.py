"""``edge conformance``: what it prints, and whether that holds for the web door."""

from __future__ import annotations

import re
import subprocess
import sys

from edge.commands.conformance import WEB
from tests.dimse.test_statement import COPY
from tests.journeys import box


def test_it_prints_the_copy_beside_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "edge", "conformance"], capture_output=True, text=True, check=True
    )
    assert done.stdout == COPY.read_text(encoding="utf-8")


async def test_the_web_services_that_it_names_are_those_of_the_routes(tmp_path):
    said = {
        (name, section)
        for names, section in re.findall(r"^\| ([A-Z][^|]*) \| ([0-9.]+) \|$", WEB, re.MULTILINE)
        for name in names.split(", ")
    }
    async with box.running(box.settings(tmp_path / "box")) as running:
        answer = await running.viewer.get("/", accept="application/json")
    titles = set(re.findall(r'"title":"([^"]*) \(PS3\.18 ([0-9.]+)\)"', answer.text))
    assert titles == said
