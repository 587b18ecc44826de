"""A certificate for one start: nobody can use it afterwards."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl

from cryptography import x509

from edge.access.authority import fingerprint
from edge.access.tls import locked_context
from edge.config import Http


async def shown_by(context):
    """The certificate that a server shows."""
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        port = server.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
    return x509.load_der_x509_certificate(der)


async def test_it_is_another_at_every_start_and_its_fingerprint_is_told(tmp_path):
    told = set()
    for _ in range(2):
        context, printed = await asyncio.to_thread(locked_context, Http(), ["box", "192.0.2.1"])
        certificate = await shown_by(context)
        assert fingerprint(certificate) == printed
        assert certificate.issuer == certificate.subject
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["box"]
        assert certificate.not_valid_after_utc > dt.datetime.now(dt.UTC)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        assert not constraints.ca
        told.add(printed)
    assert len(told) == 2
    assert not list(tmp_path.iterdir())


def test_without_tls_there_is_none():
    assert locked_context(Http(tls="off"), ["box"]) == (None, "")
