"""A stolen box stays shut outside of the network, by the lines of ``providers.network``."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec
import pytest

from edge.crypto.kernel import KernelMemory
from edge.crypto.providers import network
from edge.crypto.providers.network import NetworkKeyProvider
from edge.crypto.providers.wrapped import FILE, ByServers, WrappedRoot
from edge.crypto.twin import copies
from edge.errors import KeyLocked, Needs
from edge.others import KeyServer
from tests.fakes import tang
from tests.fakes.tang import Tang
from tests.ports import free_port


@pytest.fixture
def servers(tmp_path):
    """Two of them."""
    if why := tang.missing():
        pytest.skip(why)
    with Tang(tmp_path / "tang1") as first, Tang(tmp_path / "tang2") as second:
        yield first, second


@pytest.fixture
def start(tmp_path):
    """The provider, as a start has it."""
    folder = tmp_path / "data"
    folder.mkdir()

    def start(*servers, grace=0.0):
        wrapped = WrappedRoot(folder, folder / "recovery.key")
        known = [each.server if isinstance(each, Tang) else each for each in servers]
        return NetworkKeyProvider(wrapped, KernelMemory(folder, grace), known)

    start.folder = folder
    return start


def shut(provider):
    with pytest.raises(KeyLocked) as locked:
        provider.root_secret(first_start=False)
    assert locked.value.needs is Needs.SERVER
    return str(locked.value)


def test_a_stolen_box_stays_shut_where_no_server_answers(start, servers):
    first, _ = servers
    root = start(first).root_secret(first_start=True)
    assert start(first).root_secret(first_start=False) == root
    first.stop()
    assert f"{first.url}: it does not answer" in shut(start(first))
    disk = b"".join(path.read_bytes() for path in start.folder.iterdir())
    assert root not in disk
    first.start()
    assert start(first).root_secret(first_start=False) == root


def test_any_one_of_several_servers_opens_it(start, servers):
    first, second = servers
    root = start(first, second).root_secret(first_start=True)
    for away in servers:
        away.stop()
        assert start(first, second).root_secret(first_start=False) == root
        away.start()
    first.stop()
    second.stop()
    assert shut(start(first, second)).count("it does not answer") == 2


def test_a_server_that_plays_the_right_one_opens_nothing(start, servers, tmp_path):
    first, second = servers
    start(first).root_secret(first_start=True)
    pretender = KeyServer(second.url, first.thumbprint)
    assert "it has the key no more" in shut(start(pretender))
    path = second.folder / "exc.jwk"
    content = path.read_bytes()
    first.new_keys()
    assert "it has the key no more" in shut(start(KeyServer(first.url, pretender.thumbprint)))
    assert content == path.read_bytes()


def test_nothing_is_made_or_bound_where_no_server_can_be_believed(start, servers):
    first, _ = servers
    wrong = KeyServer(first.url, "A" * 43)
    with pytest.raises(KeyLocked, match="another key than the thumbprint") as locked:
        start(wrong).root_secret(first_start=True)
    assert locked.value.needs is Needs.SERVER
    assert not list(start.folder.iterdir())


def test_a_server_that_was_away_at_first_counts_once_the_service_has_met_it(start, servers, caplog):
    first, second = servers
    second.stop()
    root = start(first, second).root_secret(first_start=True)
    assert "is not bound to" in caplog.text
    second.start()
    first.stop()
    assert "it was never reached" in shut(start(first, second))
    first.start()
    start(first, second).remember(root)
    first.stop()
    assert start(first, second).root_secret(first_start=False) == root


def test_a_server_that_is_not_named_any_more_opens_nothing(start, servers):
    first, second = servers
    root = start(first, second).root_secret(first_start=True)
    assert start(second).root_secret(first_start=False) == root
    start(second).remember(root)
    assert [one.thumbprint for one in start().wrapped.read().shares] == [second.thumbprint]
    assert "never reached" in shut(start(first))


def test_a_server_that_gets_a_new_key_is_bound_to_anew_while_the_old_one_is_still_known(
    start, servers
):
    first, _ = servers
    root = start(first).root_secret(first_start=True)
    before = start().wrapped.read()
    first.new_exchange_key()
    assert start(first).root_secret(first_start=False) == root
    start(first).remember(root)
    assert start().wrapped.read() != before
    (first.folder / ".old.jwk").unlink()
    assert start(first).root_secret(first_start=False) == root


def test_over_a_restart_of_the_service_alone_it_opens_without_a_server_for_the_grace(
    start, servers
):
    first, _ = servers
    provider = start(first, grace=60)
    root = provider.root_secret(first_start=True)
    provider.remember(root)
    try:
        if provider.kernel.recall(provider.wrapped.digest()) is None:
            pytest.skip("the kernel has no keyrings here")
        first.stop()
        assert start(first, grace=60).root_secret(first_start=False) == root
        assert "does not answer" in shut(start(first, grace=0))
        provider.forget()  # as after a restart of the machine
        assert "does not answer" in shut(start(first, grace=60))
    finally:
        provider.forget()


def test_the_grace_is_counted_from_the_last_time_that_a_server_answered(
    start, servers, monkeypatch
):
    first, _ = servers
    provider = start(first, grace=60)
    root = provider.root_secret(first_start=True)
    kept = []
    monkeypatch.setattr(provider.kernel, "keep", lambda *what: kept.append(what))
    assert provider.remember(root)
    first.stop()
    assert provider.remember(root)
    assert kept == [(provider.wrapped.digest(), root)]


def test_who_changes_what_is_bound_opens_nothing(start, servers):
    first, second = servers
    start(first, second).root_secret(first_start=True)
    wrapped = start().wrapped
    one, two = wrapped.read().shares
    for forged in (
        msgspec.structs.replace(one, ours=two.ours),
        msgspec.structs.replace(one, key=two.key),
        msgspec.structs.replace(one, box=two.box),
        msgspec.structs.replace(two, thumbprint=one.thumbprint),
        msgspec.structs.replace(one, ours=b"\x04" + bytes(132)),
        msgspec.structs.replace(one, key=b""),
        msgspec.structs.replace(one, box=b""),
    ):
        wrapped.write(ByServers((forged,)))
        shut(start(first))


def test_what_the_recovery_key_opened_without_a_server_is_bound_later(start, servers, caplog):
    first, _ = servers
    first.stop()
    secret = bytes(range(32))
    start(first).put_back(secret)
    assert "bound to no server yet" in caplog.text
    assert not (start.folder / FILE).exists()
    first.start()
    start(first).remember(secret)
    assert start(first).root_secret(first_start=False) == secret


def test_what_is_damaged_is_told_and_not_written_over(start, servers, caplog):
    first, _ = servers
    root = start(first).root_secret(first_start=True)
    for copy in copies(start.folder / FILE):
        copy.write_bytes(b"damaged")
    assert start(first).remember(root)
    assert "is damaged" in caplog.text
    assert (start.folder / FILE).read_bytes() == b"damaged"


class Odd(BaseHTTPRequestHandler):
    """Answers what no Tang server does."""

    def do_GET(self):
        how = self.server.how
        self.send_response(302 if how == "elsewhere" else 500 if how == "error" else 200)
        if how == "elsewhere":
            self.send_header("Location", "http://127.0.0.1:1/adv")
        self.end_headers()
        pieces = {"endless": 100, "page": 1}.get(how, 0)
        for _ in range(pieces):
            self.wfile.write(b"<html>" + bytes(1024))

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("error", "status 500"),
        ("elsewhere", "status 302"),
        ("page", "can't be understood"),
        ("endless", "does not end"),
    ],
)
def test_what_is_no_tang_server_is_called_so(start, how, why):
    server = HTTPServer(("127.0.0.1", 0), Odd)
    server.how = how
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        odd = KeyServer(f"http://127.0.0.1:{server.server_port}", "A" * 43)
        with pytest.raises(KeyLocked, match=why):
            start(odd).root_secret(first_start=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_that_drips_is_given_up(start, monkeypatch):
    monkeypatch.setattr(network, "_MOST_SECONDS", -1.0)
    server = HTTPServer(("127.0.0.1", 0), Odd)
    server.how = "page"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        odd = KeyServer(f"http://127.0.0.1:{server.server_port}", "A" * 43)
        with pytest.raises(KeyLocked, match="does not end"):
            start(odd).root_secret(first_start=True)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_proxy_of_the_environment_is_asked(start, servers, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    start(servers[0]).root_secret(first_start=True)
