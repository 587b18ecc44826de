"""What the configuration says about the way: client certificates, and proxies."""

import contextlib
import ssl
import subprocess

import httpx
import pytest
import trustme

from edge import others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.route import Route, tls_context
from edge.cloud.words import words_for
from edge.errors import ConfigError

URL = httpx.URL("https://archive.example/dicom-web")


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def pair(authority, tmp_path):
    """A certificate and its key, in files."""
    leaf = authority.issue_cert("box.example")
    certificate, key = tmp_path / "box.pem", tmp_path / "box.key"
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    return certificate, key


def route(**settings):
    return Route.of(others.Archive("cloud", str(URL), **settings), URL)


def test_a_connection_goes_to_the_archive_or_else_to_its_proxy():
    assert route().first == ("archive.example", 443)
    assert route(proxy="http://proxy.clinic:3128").first == ("proxy.clinic", 3128)
    assert route(proxy="http://[fd00::1]:3128").first == ("fd00::1", 3128)


@pytest.mark.parametrize(
    "proxy",
    ["https://proxy:3128", "http://", "http://u:p@proxy:1", "socks5://proxy:1", "proxy:3128"],
)
def test_a_proxy_that_can_not_be_used_is_an_error_of_the_configuration(proxy):
    with pytest.raises(ConfigError, match="proxy") as caught:
        DicomwebArchive(others.Archive("cloud", str(URL), proxy=proxy))
    assert "u:p" not in str(caught.value)


def test_secrets_do_not_show():
    shown = repr(route(proxy="http://proxy:1", proxy_user="box", proxy_password="a secret"))
    assert "a secret" not in shown


def old_authority(folder):
    """An authority as clinics have them, without a use of its key, and a server's certificate."""
    (folder / "san").write_text("subjectAltName=DNS:archive.example")
    key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout"
    for words in (
        f"req -x509 {key} ca.key -subj /CN=Old -out ca.pem -days 2",
        f"req {key} leaf.key -subj /CN=x -out leaf.csr",
        "x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -set_serial 2 -extfile san -out leaf.pem",
    ):
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)
    return folder / "ca.pem", (folder / "leaf.pem", folder / "leaf.key")


def shaken(context, pair):
    """The handshake of a client, in memory, with a server that shows a pair."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(*pair)
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = (
        context.wrap_bio(down, up, server_hostname="archive.example"),
        serving.wrap_bio(up, down, server_side=True),
    )
    for _ in range(4):
        for side in sides:
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    return sides[0].version()


@pytest.mark.parametrize("how", ["tls_ca", "authority"])
def test_an_authority_that_is_no_model_of_one_is_believed(how, tmp_path, monkeypatch):
    usual = ssl.create_default_context

    def strict(*args, **words):  # as Python 3.13 makes them
        context = usual(*args, **words)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    authority, pair = old_authority(tmp_path)
    text = authority.read_text()
    context = tls_context(str(authority)) if how == "tls_ca" else tls_context(None, None, text)
    assert shaken(context, pair) == "TLSv1.3"


@pytest.mark.parametrize(
    ("whose", "hint"),
    [
        ("the archive", "on its page, at the archive under More"),
        ("the server of updates", "set tls_ca of the server of updates to the certificate"),
    ],
)
def test_where_an_authority_is_given_is_said_as_it_is(whose, hint):
    error = ssl.SSLCertVerificationError()
    error.verify_code, error.verify_message = 19, "self-signed certificate"
    assert hint in words_for(error, URL, None, whose=whose)[1]


def test_a_pair_is_loaded(pair):
    tls_context(None, pair)


def test_a_key_of_another_certificate(pair, authority, tmp_path):
    authority.issue_cert("other.example").private_key_pem.write_to_path(tmp_path / "other.key")
    with pytest.raises(
        ConfigError, match=r"other\.key is not the key of the certificate .*box\.pem"
    ):
        tls_context(None, (pair[0], tmp_path / "other.key"))


def test_a_key_that_is_encrypted_asks_no_terminal(pair, tmp_path):
    encrypted = tmp_path / "encrypted.key"
    subprocess.run(
        ["openssl", "pkey", "-in", pair[1], "-aes256", "-passout", "pass:x", "-out", encrypted],
        check=True,
    )
    with pytest.raises(ConfigError, match="encrypted with a passphrase") as caught:
        tls_context(None, (pair[0], encrypted))
    assert "openssl pkey" in caught.value.hint


def test_files_that_are_missing_or_no_certificates(pair, tmp_path):
    with pytest.raises(ConfigError, match=r"tls_key: .*none\.key can't be read: No such file"):
        tls_context(None, (pair[0], tmp_path / "none.key"))
    with pytest.raises(ConfigError, match=r"tls_certificate: .*none\.pem can't be read"):
        tls_context(None, (tmp_path / "none.pem", pair[1]))
    (tmp_path / "text.pem").write_text("no certificate at all")
    with pytest.raises(
        ConfigError, match=r"tls_certificate: .*text\.pem .* can't be used"
    ) as caught:
        tls_context(None, (tmp_path / "text.pem", pair[1]))
    assert "PEM" in caught.value.hint


async def test_a_wrong_pair_is_said_before_anything_is_sent(pair, authority, tmp_path):
    authority.issue_cert("other.example").private_key_pem.write_to_path(tmp_path / "other.key")
    settings = others.Archive(
        "cloud", str(URL), tls_certificate=pair[0], tls_key=tmp_path / "other.key"
    )
    with pytest.raises(ConfigError, match="is not the key"):
        async with DicomwebArchive(settings):
            pass
