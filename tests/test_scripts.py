"""What the scripts say of themselves."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
HANDED_ON = {"bench", "boot-image", "conformance", "fuzz", "sbom", "sign-update", "simulate"}
"""Their words are read by `argparse`, which knows this one."""
NAMES = sorted({path.name for path in SCRIPTS.iterdir() if path.is_file()} - HANDED_ON)


@pytest.mark.parametrize("name", NAMES)
def test_each_answers_help_wherever_it_is_called_and_does_nothing(name, tmp_path):
    done = subprocess.run(
        [f"./{name}", "--help"],
        cwd=SCRIPTS,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"\b{name}\b", done.stdout)
    assert not list(tmp_path.iterdir())
