"""A stick sets up a box that runs: what the stick says afterwards is what the box shows."""

from __future__ import annotations

import asyncio
import hashlib
import ssl

from tests.journeys.service import Installation

TOKEN = "7K2M-Q0XE-41TR-ZB9D"


def shown_to(name, port, ca):
    """SHA-256 of the authority that vouches for the box to who calls it by that name."""
    trusting = ssl.create_default_context(cadata=ca)

    async def call():
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusting, server_hostname=name
        )
        writer.close()

    asyncio.run(call())
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(ca)).digest().hex(":").upper()


async def test_the_fingerprint_on_the_stick_is_that_of_the_page_that_it_names(tmp_path):
    folder = tmp_path / "stick/EDGE-SETUP"
    folder.mkdir(parents=True)
    text = f'[setup]\ntoken = "{TOKEN}"\n[appliance]\nname = "st-brigid"\n'
    (folder / "edge.toml").write_text(text)
    box = Installation.as_new(tmp_path / "box", tls="auto")
    await box.start()
    tls = box.data / "tls"
    try:
        before = (tls / "ca.crt").read_text()
        done = await box.run("provision", "stick", str(folder.parent))
        assert done.status == 0, done.err
        answer = (folder / "result.txt").read_text()
        authority = (tls / "ca.crt").read_text()
        assert authority != before
        # By an address, too: nobody is in the box yet who goes on under its former name.
        for name in ("st-brigid.local", "127.0.0.1"):
            shown = await asyncio.to_thread(shown_to, name, box.http_port, authority)
            assert f"Trust      SHA-256 {shown}\n" in answer
        assert "Name       st-brigid\n" in answer
        assert not list(tls.glob("former-*"))
    finally:
        box.kill()
