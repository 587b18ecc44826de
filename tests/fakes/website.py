"""Web servers that are no archives, or show certificates that are not right. On loopback only."""

from __future__ import annotations

import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import trustme
from aiohttp import web


@asynccontextmanager
async def website(
    answer: Callable[[web.Request], Awaitable[web.StreamResponse]],
    certificate: trustme.LeafCert | None = None,
    *,
    clients: trustme.CA | None = None,
) -> AsyncIterator[str]:
    """An aiohttp server that answers everything the same; its url."""
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if clients is not None:
            clients.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}/dicom-web"
    finally:
        await runner.cleanup()


@contextmanager
def strict_server(
    certificate: trustme.LeafCert, clients: trustme.CA, most: ssl.TLSVersion
) -> Iterator[str]:
    """A server that says by an alert whom it refuses, which asyncio's does not; its url."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(204)
            self.end_headers()

        do_HEAD = do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_):
            pass

        def finish_request(self, request, address):
            request.do_handshake()
            super().finish_request(request, address)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    clients.configure_trust(context)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, most
    with Server(("127.0.0.1", 0), Nothing) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}/dicom-web"
        server.shutdown()
        thread.join()
