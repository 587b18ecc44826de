"""``edge key seal-credential``, with systemd's own tool where it runs."""

from __future__ import annotations

import base64
import subprocess

import pytest

from edge import __main__
from edge.commands import key_credential


@pytest.fixture
def seal(tmp_path, capsys):
    configuration = tmp_path / "edge.toml"
    configuration.write_text(f'[appliance]\ndata_dir = "{tmp_path}/data"\n')

    def run(*words):
        status = __main__.main(["--config", str(configuration), "key", "seal-credential", *words])
        return status, capsys.readouterr().err

    return run


@pytest.mark.blocks  # the test lends the command its loop
def test_it_is_sealed_for_this_machine_and_the_line_for_the_unit_is_said(seal, tmp_path):
    path = tmp_path / "edge.root-key"
    status, said = seal("--to", str(path), "--with-key", "host")
    if "no systemd-creds" in said or "could not seal" in said:
        pytest.skip(said)
    assert status == 0
    assert f"LoadCredentialEncrypted=edge.root-key:{path}" in said
    opened = subprocess.run(
        ["systemd-creds", "decrypt", "--name=edge.root-key", str(path), "-"],
        capture_output=True,
        check=True,
    )
    assert len(base64.b64decode(opened.stdout, validate=True)) == 32
    assert opened.stdout not in path.read_bytes()
    status, said = seal("--to", str(path), "--with-key", "host")
    assert status == 1
    assert "is there already" in said


@pytest.mark.blocks
def test_where_it_can_not_be_sealed_nothing_is_left_and_the_reason_is_said(
    seal, tmp_path, monkeypatch
):
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\ncat >/dev/null\necho half >"$5"\necho "no TPM" >&2\nexit 1\n')
    tool.chmod(0o755)
    monkeypatch.setattr(key_credential.shutil, "which", lambda _: str(tool))
    path = tmp_path / "edge.root-key"
    status, said = seal("--to", str(path))
    assert status == 1
    assert "systemd-creds could not seal it: no TPM" in said
    assert not path.exists()
    status, said = seal("--to", str(tmp_path / "missing" / "key"))
    assert (status, "there is no folder" in said, "--to" in said) == (1, True, True)
    monkeypatch.setattr(key_credential.shutil, "which", lambda _: None)
    assert "there is no systemd-creds here" in seal("--to", str(path))[1]
