"""``edge tls``, in processes of its own, beside a service that runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from dataclasses import replace

import httpx
import pytest
import trustme
from cryptography import x509

from edge import config
from edge.access import renewals
from edge.access.authority import fingerprint
from edge.app import Appliance
from tests import program


class Box:
    """A box, and its command line."""

    def __init__(self, folder, **http):
        self.folder = folder
        self.toml = folder / "edge.toml"
        self.settings = config.Config(
            appliance=config.Appliance(data_dir=folder / "box"),
            dimse=config.Dimse(listen="127.0.0.1:0"),
            http=config.Http(**{"listen": "127.0.0.1:0", **http}),
        )
        lines = [f'{name} = "{value}"' for name, value in http.items()]
        self.toml.write_text(
            "\n".join([f'[appliance]\ndata_dir = "{folder / "box"}"\n[http]', *lines])
        )

    @contextlib.asynccontextmanager
    async def running(self):
        async with Appliance(self.settings) as appliance:
            yield appliance.http_port

    async def run(self, *words):
        ran = await asyncio.to_thread(program.run, *words, "--config", self.toml)
        return ran.returncode, ran.stdout, ran.stderr


async def served(port):
    """The fingerprint of the certificate that the port shows."""
    pem = await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))
    return fingerprint(x509.load_pem_x509_certificate(pem.encode()))


async def download(port):
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=60) as client:
        return await client.get(f"https://127.0.0.1:{port}/ca.crt")


async def test_the_authority_is_handed_out_and_its_fingerprint_is_told_at_the_box(tmp_path):
    box = Box(tmp_path)
    async with box.running() as port:
        answer = await download(port)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "application/x-x509-ca-cert"
        (found,) = x509.load_pem_x509_certificates(answer.content)
        status, shown, _ = await box.run("tls", "show")
        assert status == 0
        assert f"authority    SHA-256 {fingerprint(found)}" in shown
        assert f"certificate  SHA-256 {await served(port)}" in shown
        assert "localhost" in shown
        assert fingerprint(found) in (await box.run("status"))[1]
        assert (await box.run("tls", "ca"))[1] == answer.text
        # It is the one that vouches for what is shown.
        trusting = ssl.create_default_context(cadata=answer.text)
        async with httpx.AsyncClient(verify=trusting, trust_env=False, timeout=60) as client:
            assert (await client.get(f"https://localhost:{port}/healthz")).status_code == 200


async def test_what_is_shown_under_a_former_name_is_told_until_it_is_made_anew(tmp_path):
    box = Box(tmp_path)
    async with Appliance(box.settings) as running:
        users = running.cache.users
        code = (await users.first_code()).code
        await users.redeem(code, "correct horse battery staple", name="anna")
        before = await served(running.http_port)
    appliance = replace(box.settings.appliance, name="St. Brigid")
    box.settings = replace(box.settings, appliance=appliance)
    async with box.running() as port:
        (former,) = json.loads((await box.run("tls", "show", "--json"))[1])["former"]
        assert (former["server"], "edge.local" in former["names"]) == (before, True)
        assert f"former name  SHA-256 {before}" in (await box.run("tls", "show"))[1]
        assert await served(port) == before  # by its address
        assert (await box.run("tls", "renew"))[0] == 0
        after = json.loads((await box.run("tls", "show", "--json"))[1])
        assert (after["former"], after["server"]) == ([], await served(port))


async def test_the_boxs_own_certificate_is_made_anew_and_its_authority_if_that_is_said(tmp_path):
    box = Box(tmp_path)
    async with box.running() as port:
        before = json.loads((await box.run("tls", "show", "--json"))[1])
        assert (await box.run("tls", "renew"))[0] == 0
        after = json.loads((await box.run("tls", "show", "--json"))[1])
        assert after["server"] == await served(port) != before["server"]
        assert after["authority"] == before["authority"]
        assert (await box.run("tls", "renew", "--authority"))[0] == 0
        last = json.loads((await box.run("tls", "show", "--json"))[1])
        assert last["server"] == await served(port)
        assert last["authority"] not in ("", before["authority"])
        (found,) = x509.load_pem_x509_certificates((await download(port)).content)
        assert fingerprint(found) == last["authority"]


class Acme:
    """What a client of ACME leaves behind: a certificate for a name, and its key."""

    def __init__(self, folder):
        self.certificate, self.key = folder / "fullchain.pem", folder / "privkey.pem"

    def issue(self):
        issued = trustme.CA().issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)
        return fingerprint(x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes()))


async def test_the_hook_of_an_acme_client_has_its_certificate_served_at_once(tmp_path):
    acme = Acme(tmp_path)
    first = acme.issue()
    box = Box(tmp_path, tls="files", tls_certificate=acme.certificate, tls_key=acme.key)
    assert (await box.run("tls", "reload"))[0] == 1
    async with box.running() as port:
        assert await served(port) == first
        second = acme.issue()
        status, _, err = await box.run("tls", "reload")
        assert (status, err) == (0, "edge: certificates were loaded anew\n")
        assert await served(port) == second
        acme.key.write_text("nothing")
        status, _, err = await box.run("tls", "reload")
        assert status != 0
        assert "can't be used" in err
        assert await served(port) == second
        assert (await download(port)).status_code == 404
        status, _, err = await box.run("tls", "renew")
        assert status == 2
        assert "no certificate of its own" in err


async def test_without_a_hook_a_file_that_was_replaced_is_served_by_both_ports(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(renewals, "_LOOK", 0.05)
    acme = Acme(tmp_path)
    first = acme.issue()
    box = Box(tmp_path, tls="files", tls_certificate=acme.certificate, tls_key=acme.key)
    dimse = config.Dimse(listen="127.0.0.1:0", tls_listen="127.0.0.1:0")
    async with Appliance(replace(box.settings, dimse=dimse)) as running:
        ports = running.http_port, running.dimse_tls_port
        assert [await served(port) for port in ports] == [first, first]
        second = acme.issue()
        async with asyncio.timeout(30):
            for port in ports:
                while await served(port) != second:  # noqa: ASYNC110 - as many knocks turn us away
                    await asyncio.sleep(0.1)


@pytest.mark.parametrize("act", ["show", "ca", "renew"])
async def test_where_there_is_no_certificate_that_is_said(tmp_path, act):
    status, out, err = await Box(tmp_path, tls="off", listen="127.0.0.1:0").run("tls", act)
    assert (status == 0, out) == (False, "")
    assert "certificate" in err
