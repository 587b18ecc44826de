"""The configuration: every error names the file, the line and the key."""

from __future__ import annotations

import pytest

from edge import config, loading, others
from edge.errors import ConfigError

ARCHIVE = "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\n"
OAUTH2 = """[cloud.archive.auth]
kind = 'oauth2'
token_url = 'https://b'
client_id = 'c'
client_secret = 'd'
"""
AWS = """[cloud.archive.auth]
kind = 'aws'
region = 'r'
access_key_id = 'a'
secret_access_key = 'sealed:x'
session_token = 'file:/t'
service = 'execute-api'
"""


@pytest.fixture
def load(tmp_path):
    def call(text, **environ):
        path = tmp_path / "edge.toml"
        path.write_text(text)
        return loading.load(path, environ)

    return call


def test_defaults_need_no_file():
    assert loading.load(None, {}) == config.Config()


def test_a_whole_file_is_read(load):
    loaded = load(
        """
        [appliance]
        name = "clinic"
        [[dimse.peer]]
        ae_title = "CT1"
        may = ["store", "query"]
        [sync]
        sweep_minutes = 5
        [[cloud.archive]]
        name = "main"
        url = "https://archive.example/dicom-web"
        auth = { kind = "bearer", token = "secret" }
        """
    )
    assert loaded.appliance.name == "clinic"
    assert loaded.dimse.peer[0].may == ("store", "query")
    assert loaded.sync.sweep_minutes == 5.0
    assert loaded.cloud.archive[0].auth.token == "secret"


def test_the_environment_goes_before_the_file(load):
    loaded = load(
        '[appliance]\nname = "file"\n[cache]\nkeep_days = 1\n',
        EDGE_APPLIANCE__NAME="environment",
        EDGE_CLOUD__ARCHIVE__0__NAME="main",
        EDGE_CLOUD__ARCHIVE__0__URL="http://127.0.0.1",
        EDGE_DIMSE__MAX_PDU="65536",
        EDGE_CONFIG="is not a key",
        HOME="/root",
    )
    assert loaded.appliance.name == "environment"
    assert loaded.cache.keep_days == 1
    assert loaded.cloud.archive[0].url == "http://127.0.0.1"
    assert loaded.dimse.max_pdu == 65536


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[appliance]\nnmae = 1\n", "edge.toml:2: appliance.nmae is not a known key"),
        ("[applience]\n", "edge.toml:1: applience is not a known key"),
        ("[http]\nauth = 'no'\n", "edge.toml:2: http.auth must be one of 'required', 'none'"),
        ("\n\n[cache]\nkeep_days = '3'\n", "edge.toml:4: cache.keep_days must be a whole number"),
        ("[cache]\nkeep_days = -1\n", "edge.toml:2: cache.keep_days must not be negative"),
        ("[cache]\nkeep_days = true\n", "edge.toml:2: cache.keep_days must be a whole number"),
        ("[[dimse.peer]]\nport = 1\n", "edge.toml:1: dimse.peer.0.ae_title is missing"),
        (
            "[[dimse.peer]]\nae_title = 'A'\n[[dimse.peer]]\nae_title = 'B'\nport = 'x'\n",
            "edge.toml:5: dimse.peer.1.port must be a whole number",
        ),
        ("dimse = 1\n", "dimse must be a table"),
        ("[dimse]\npeer = 1\n", "edge.toml:2: dimse.peer must be an array"),
        ("[dimse.peer]\nae_title = 'A'\n", "edge.toml:1: dimse.peer must be an array"),
        ("[dimse\n", "edge.toml:1: not valid TOML"),
        ("[dimse]\nae_title = 'A NAME THAT IS TOO LONG'\n", "dimse.ae_title must be 1 to 16"),
        ("[http]\nlisten = 'here'\n", "edge.toml:2: http.listen = 'here' is not HOST:PORT"),
        ("[dimse]\nlisten = ':104'\n", "edge.toml:2: dimse.listen = ':104' is not HOST:PORT"),
        *(
            (
                f"[http]\nnames = ['pacs.example', '{name}']\n",
                f'edge.toml:2: http.names.1 = "{name}" is neither a DNS name nor an address',
            )
            for name in ("*.example", "pacs.example:443", "10.0.0.0/24", "a b", "pacs.", "1.2.3")
        ),
        (
            "[http]\ninterface = 'eth1\"; accept'\n",
            "edge.toml:2: http.interface = ",
        ),
        (
            "[http]\ncors_origins = ['https://a.example', '*']\n",
            'edge.toml:2: http.cors_origins.1 = "*" is not an origin',
        ),
        (
            "[http]\ncors_origins = ['https://a.example/']\n",
            'edge.toml:2: http.cors_origins.0 = "https://a.example/" is not an origin',
        ),
        ("[http]\n\nauth = 'none'\n", 'edge.toml:3: http.auth = "none" is refused while 0.0.0.0'),
        ("[http]\ntls = 'files'\n", "edge.toml:1: http.tls_certificate is needed by"),
        (
            "[http]\ntls = 'files'\ntls_certificate = '/none'\n",
            "edge.toml:3: http.tls_certificate = /none is not a file",
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nurl = 'archive'\n",
            'edge.toml:3: cloud.archive.0.url = "archive" is not an address',
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\nauth = { kind = 'basic' }\n",
            'edge.toml:4: cloud.archive.0.auth.user is needed by kind = "basic"',
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\n[cloud.archive.auth]\nuser = 'u'\n",
            'edge.toml:5: cloud.archive.0.auth.user is not used by kind = "none"',
        ),
        (
            f"{ARCHIVE}[cloud.archive.auth]\nkind = 'oauth2'\ntoken_url = 'https://b'\n",
            'edge.toml:4: cloud.archive.0.auth.client_id is needed by kind = "oauth2"',
        ),
        (
            f"{ARCHIVE}auth = {{ kind = 'google', token = 'x' }}\n",
            'edge.toml:4: cloud.archive.0.auth.token is not used by kind = "google"',
        ),
        (
            f"{ARCHIVE}auth = {{ kind = 'google' }}\n",
            'edge.toml:4: cloud.archive.0.auth.key_file is needed by kind = "google"',
        ),
        (
            f"{ARCHIVE}auth = {{ kind = 'aws', access_key_id = 'x', secret_access_key = 'y' }}\n",
            'edge.toml:4: cloud.archive.0.auth.region is needed by kind = "aws"',
        ),
        (
            f"{ARCHIVE}auth = {{ kind = 'basic', user = 'u', payload = 'unsigned' }}\n",
            'edge.toml:4: cloud.archive.0.auth.payload is not used by kind = "basic"',
        ),
        (
            f"{ARCHIVE}auth = {{ kind = 'saml' }}\n",
            "edge.toml:4: cloud.archive.0.auth.kind must be one of 'none', 'basic', 'bearer'",
        ),
        (
            f"{ARCHIVE}{OAUTH2}tls_ca = '/none'\n",
            "edge.toml:9: cloud.archive.0.auth.tls_ca = /none is not a file",
        ),
        (
            f"{ARCHIVE}{OAUTH2.replace('https', 'http')}",
            'cloud.archive.0.auth.token_url = "http://b" is refused: images and secrets',
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\ntls_ca = '/none'\n",
            "edge.toml:4: cloud.archive.0.tls_ca = /none is not a file",
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nurl = 'https://u:secret@a'\n",
            "edge.toml:3: cloud.archive.0.url holds a password",
        ),
        (
            "[[cloud.archive]]\nname = 'a'\nkind = 'azure'\nurl = 'https://a/v1'\n",
            'edge.toml:4: cloud.archive.0.url = "https://a/v1" is of version 1',
        ),
        (
            2 * "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\n",
            "edge.toml:5: cloud.archive.1.name must be a name of its own",
        ),
        (
            2 * "[[dimse.peer]]\nae_title = 'CT'\n",
            'edge.toml:4: dimse.peer.1.ae_title = "CT" stands there twice',
        ),
        (
            "[[dimse.peer]]\nae_title = 'CT'\nmay = ['find']\n",
            "edge.toml:3: dimse.peer.0.may.0 must be one of 'store', 'query', 'retrieve'",
        ),
        (
            "[dimse]\npeer = [{ ae_title = 'CT', port = 0 }]\n",
            "edge.toml:2: dimse.peer.0.port must be 1 to 65535",
        ),
        (
            "[[dimse.peer]]\nae_title = 'A\\B'\n",
            "edge.toml:2: dimse.peer.0.ae_title must be 1 to 16",
        ),
        (
            "[[dimse.peer]]\nae_title = 'CT'\nhost = '10.0.0.256'\n",
            'edge.toml:3: dimse.peer.0.host = "10.0.0.256" is no address',
        ),
        (
            "[[dimse.peer]]\nae_title = 'CT'\ncertificate = 'ct.example'\n",
            "edge.toml:3: dimse.peer.0.certificate is never asked for without dimse.tls_ca",
        ),
        (
            "[[dimse.peer]]\nae_title = 'CT'\nmax_associations = -1\n",
            "edge.toml:3: dimse.peer.0.max_associations must not be negative",
        ),
        (
            "[dimse]\nunknown_peers = 'guess'\n",
            "edge.toml:2: dimse.unknown_peers must be one of 'reject', 'learn', 'accept'",
        ),
        ("[dimse]\ntls_ca = '/none'\n", "edge.toml:2: dimse.tls_ca = /none is not a file"),
        ("[dimse]\ntls_key = '/none'\n", "edge.toml:1: dimse.tls_certificate is needed"),
        ("[dimse]\ntls_listen = '2762'\n", "edge.toml:2: dimse.tls_listen = '2762' is not HOST"),
        ("[dimse]\nlisten = ''\n", "edge.toml:2: dimse.listen = '' is not HOST:PORT"),
        (
            "[[dimse.peer]]\nae_title = 'CT1'\ntls_only = true\n",
            "edge.toml:3: dimse.peer.0.tls_only would keep it out without dimse.tls_listen",
        ),
        (
            "[dimse]\nlisten = ''\ntls_listen = '0.0.0.0:2762'\nunknown_peers = 'accept'\n",
            'edge.toml:4: dimse.unknown_peers = "accept" is refused while 0.0.0.0:2762',
        ),
        (
            "[appliance]\ndata_dir = 'box'\n",
            "edge.toml:2: appliance.data_dir = box must be an absolute path",
        ),
        ("[appliance]\ndata_dir = ''\n", "edge.toml:2: appliance.data_dir must name a folder"),
        ("sync.trash_days = 0\n", "edge.toml:1: sync.trash_days must be more than 0"),
        *(
            (f"{key} = 1e-9\n", f"edge.toml:1: {key} must be {least} at the least")
            for key, least in (
                ("access.idle_minutes", "1"),
                ("access.session_hours", "0.25"),
                ("dimse.artim_seconds", "1"),
                ("dimse.idle_seconds", "5"),
                ("dimse.pdu_seconds", "1"),
                ("pixels.seconds", "0.1"),
                ("sync.sweep_minutes", "0.1"),
                ("sync.feed_seconds", "0.1"),
                ("sync.retry_min_seconds", "0.1"),
                ("sync.retry_max_seconds", "0.1"),
            )
        ),
        ("cache.max_bytes = 1\n", "cache.max_bytes must be 1073741824 at the least, or 0"),
        ("dimse.commit_days = 0\n", "edge.toml:1: dimse.commit_days must be more than 0"),
        ("dimse.commit_report_days = 366\n", "dimse.commit_report_days must be 365 at the most"),
        ("dimse.commit_grace_seconds = 4000\n", "commit_grace_seconds must be 3600 at the most"),
        ('dimse.commit_after = "never"\n', "dimse.commit_after"),
        ("sync.sweep_minutes = nan\n", "edge.toml:1: sync.sweep_minutes is no number"),
        (f"sync.sweep_minutes = {10**400}\n", "edge.toml:1: sync.sweep_minutes is too large"),
        ("sync.sweep_minutes = " + "9" * 5000, "edge.toml: not valid TOML"),
        ("sync.calendar = " + "[" * 3000, "edge.toml: not valid TOML"),
        ("[sync]\nfeed_seconds = 0\n", "edge.toml:2: sync.feed_seconds must be 0.1 at"),
        ("[sync]\nretry_max_seconds = 0\n", "edge.toml:2: sync.retry_max_seconds must be 0.1"),
        ("[dimse]\nmax_pdu = 1\n", "edge.toml:2: dimse.max_pdu must be 4096 to"),
        (
            "[sync]\ncalendar = ['sat,sun unlimited', 'mon-fri 08:00-18:00 fast']\n",
            'edge.toml:2: sync.calendar.1 = "mon-fri 08:00-18:00 fast": "fast" is not a limit',
        ),
        ("[sync]\ncalendar = ['8-18 off']\n", "(at character 1)"),
        (f"[sync]\ncalendar = {['off'] * 101}\n", "edge.toml:2: sync.calendar has 101 rules; 100"),
        (
            f"[sync]\nprefetch_hours = {['sat'] * 101}\n",
            "edge.toml:2: sync.prefetch_hours has 101 rules; 100 are the most",
        ),
        (f"[sync]\nprefetch = {['US: none'] * 201}\n", "sync.prefetch has 201 rules; 200 are"),
        (f"[cache]\npin = {['study 1.2'] * 1001}\n", "cache.pin has 1001 rules; 1000 are the most"),
        ("[sync]\ncalendar = 'off'\n", "edge.toml:2: sync.calendar must be an array"),
        ("[sync]\nmax_upload_kbps = -1\n", "edge.toml:2: sync.max_upload_kbps must not be neg"),
        ("[sync]\nbudget_day = 32\n", "edge.toml:2: sync.budget_day must be 1 to 31"),
        ("[sync]\nbudget_day = 0\n", "edge.toml:2: sync.budget_day must be 1 to 31"),
        *[
            (f'[[worklist.source]]\nname = "ris"\n{text}', message)
            for text, message in (
                ('kind = "hl7"', "edge.toml:3: worklist.source.0.kind"),
                ('kind = "dicom"\nhost = "ris"', 'ae_title is needed by kind = "dicom"'),
                ('kind = "folder"', 'path is needed by kind = "folder"'),
                ('kind = "folder"\npath = "/a"\nhost = "b"', 'host is not used by kind = "folder"'),
                ('kind = "dicom"\nae_title = "A"\nhost = "b"\npath = "/a"', "path is not used"),
                ('kind = "dicom"\nae_title = "A\\\\B"\nhost = "b"', "ae_title must be 1 to 16"),
                ('kind = "dicom"\nae_title = "A"\nhost = "b"\nport = 0', "port must be 1 to 65535"),
                ('kind = "folder"\npath = "/a"\ninterval_seconds = 0', "must be more than 0"),
                ('kind = "folder"\npath = "/a"\ntls = true', 'tls is not used by kind = "folder"'),
                (
                    'kind = "dicom"\nae_title = "A"\nhost = "b"\ntls = true\ncertificate = "ris"',
                    "certificate is never asked for without dimse.tls_ca",
                ),
                (
                    'kind = "dicom"\nae_title = "A"\nhost = "b"\ndays_ahead = 400',
                    "days_ahead must be 365 at the most",
                ),
                (
                    'kind = "folder"\npath = "/"\n[[worklist.source]]\nname = "ris"\nkind="dicom"',
                    "must be a name of its own",
                ),
                (
                    'kind = "folder"\npath = "/srv/drop/wl"\n[dropfolder]\npath = "/srv/drop"',
                    "is in dropfolder.path = /srv/drop",
                ),
            )
        ],
        ("[worklist]\nkeep_days = 400", "keep_days must be 365 at the most"),
    ],
)
def test_errors_name_file_line_and_key(load, text, message):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[dimse.peer]\nae_title = 'A'\n", "write [[dimse.peer]]"),
        ("[cloud.archive]\nname = 'A'\n", "write [[cloud.archive]]"),
        ("[[dimse.peer]]\nae_title = 'A'\nmay = 'store'\n", 'write may = ["store"]'),
        ("[sync]\ncalendar = 'sat off'\n", 'write calendar = ["sat off"]'),
    ],
)
def test_what_should_be_an_array_is_shown_as_one(load, text, hint):
    with pytest.raises(ConfigError, match="must be an array") as caught:
        load(text)
    assert caught.value.hint == hint


def test_a_variable_that_should_be_an_array_is_shown_as_one(load):
    with pytest.raises(ConfigError, match="must be an array") as caught:
        load("", EDGE_HTTP__CORS_ORIGINS="https://a")
    assert caught.value.hint == 'write ["https://a"]'
    with pytest.raises(ConfigError, match="must be an array") as caught:
        load("", EDGE_DIMSE__PEER="CT1")
    assert caught.value.hint == "a variable is EDGE_DIMSE__PEER__0__KEY"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("EDGE_FOO", "1", "EDGE_FOO: foo is not a known key"),
        ("EDGE_HTTP", "1", "EDGE_HTTP: http must be a table"),
        ("EDGE_DIMSE__PORT", "104", "EDGE_DIMSE__PORT: dimse.port is not a known key"),
        ("EDGE_DIMSE__MAX_PDU", "a", "EDGE_DIMSE__MAX_PDU: dimse.max_pdu must be a whole number"),
        ("EDGE_HTTP__AUTH", "none", 'EDGE_HTTP__AUTH: http.auth = "none" is refused'),
        ("EDGE_HTTP__LISTEN", "8443", "EDGE_HTTP__LISTEN: http.listen = '8443' is not HOST:PORT"),
        (
            "EDGE_DIMSE__PEER__X__PORT",
            "1",
            "EDGE_DIMSE__PEER__X__PORT: dimse.peer must be an array",
        ),
        ("EDGE_DIMSE__PEER__7__PORT", "1", "EDGE_DIMSE__PEER__7__PORT: dimse.peer.7.port is not"),
        ("EDGE_DIMSE__PEER__0__PORT", "1", "EDGE_DIMSE__PEER__0__PORT: dimse.peer.0.ae_title is"),
        ("EDGE_DIMSE__AE_TITLE__X", "1", "EDGE_DIMSE__AE_TITLE__X: dimse.ae_title.x is not"),
    ],
)
def test_errors_name_the_variable(load, variable, value, message):
    with pytest.raises(ConfigError) as caught:
        load('[dimse]\nae_title = "BOX"\n', **{variable: value})
    assert str(caught.value).startswith(message)


def test_a_password_of_the_environment_may_look_like_a_number(load):
    loaded = load(
        "[[cloud.archive]]\nname = 'a'\nurl = 'https://a'\nauth = { kind = 'basic', user = 'u' }\n",
        EDGE_CLOUD__ARCHIVE__0__AUTH__PASSWORD="0123",
    )
    assert loaded.cloud.archive[0].auth.password == "0123"


@pytest.mark.parametrize(
    "auth",
    [
        f"{OAUTH2}client_auth = 'body'\nscope = 's'\naudience = 'a'\nresource = 'r'\n",
        OAUTH2.replace("https://b", "http://127.0.0.1:1/token"),
        "[cloud.archive.auth]\nkind = 'google'\nkey_file = '/k.json'\ntoken_url = 'https://b'\n",
        AWS,
    ],
)
def test_each_way_to_sign_in_has_its_keys(load, auth):
    loaded = load(f"{ARCHIVE}{auth}").cloud.archive[0].auth
    assert loaded.kind in auth
    assert not any(secret in repr(loaded) for secret in ("sealed:x", "file:/t", "'d'"))


def test_the_plain_port_may_be_left_out_where_there_is_one_for_tls(load):
    loaded = load("[dimse]\nlisten = ''\ntls_listen = '0.0.0.0:2762'\n")
    assert (loaded.dimse.listen, loaded.dimse.tls_listen) == ("", "0.0.0.0:2762")


def test_peers_may_share_a_title_at_two_addresses(load):
    peer = "[[dimse.peer]]\nae_title = 'CT'\nhost = '%s'\n"
    assert len(load(peer % "10.0.0.1" + peer % "10.0.0.2").dimse.peer) == 2


@pytest.mark.parametrize(
    "text",
    [
        "[http]\nauth = 'none'\n",
        "[http]\ntls = 'off'\n",
        "[dimse]\nunknown_peers = 'accept'\n",
    ],
)
def test_what_is_unsafe_is_refused_outside_a_laboratory(load, text):
    with pytest.raises(ConfigError, match="refused while"):
        load(text)
    assert load(text + "[appliance]\nlab = true\n").appliance.lab
    for loopback in ("127.0.0.1:1", "[::1]:1", "localhost:1"):
        assert load(text + f"listen = '{loopback}'\n")


def test_an_archive_in_the_clear_is_refused_outside_a_laboratory(load):
    text = "[[cloud.archive]]\nname = 'a'\nurl = 'http://archive.example/'\n"
    with pytest.raises(ConfigError, match="in the clear"):
        load(text)
    assert load(text + "[appliance]\nlab = true\n").cloud.archive
    assert load(text.replace("archive.example", "127.0.0.1:8042")).cloud.archive
    for wrong in ("archive.example", "ftp://archive.example", "https://"):
        with pytest.raises(ConfigError, match="is not an address"):
            load(text.replace("http://archive.example/", wrong))


@pytest.mark.parametrize("drop", ["box", "box/drop", ".", "link"])
def test_a_drop_folder_never_holds_the_box_itself(load, tmp_path, drop):
    (tmp_path / "box").mkdir()
    (tmp_path / "link").symlink_to("box")
    text = f'[appliance]\ndata_dir = "{tmp_path / "box"}"\n[dropfolder]\npath = "{tmp_path}/%s"\n'
    with pytest.raises(ConfigError, match="overlap"):
        load(text % drop)
    assert load(text % "boxes")


def test_an_unknown_key_is_answered_with_the_known_ones(load):
    with pytest.raises(ConfigError) as caught:
        load("[dropfolder]\nfolder = 'x'\n")
    assert caught.value.hint == "known here: path, settle_seconds"


def test_certificate_files_must_exist(load):
    with pytest.raises(ConfigError, match="tls_certificate"):
        load("[http]\ntls = 'files'\n")


def test_a_file_that_can_not_even_be_looked_for_is_an_error_of_its_key(load):
    """Such as one in a folder of root's; here by its name, for tests may be root's, too."""
    with pytest.raises(ConfigError, match=r"dimse\.tls_ca = /x+ is not a file .*: File name too"):
        load(f'[dimse]\ntls_listen = "127.0.0.1:0"\ntls_ca = "/{"x" * 300}"\n')


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read: No such file or directory$"):
        loading.load(tmp_path / "none.toml", {})


ARCHIVE = "[[cloud.archive]]\nname = 'a'\nurl = 'https://archive.example/'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_certificate = '/dev/null'", "tls_certificate"),
        ("tls_certificate = 'FILE'", "tls_key is needed"),
        ("tls_key = 'FILE'", "tls_certificate is needed"),
        ("tls_certificate = 'FILE'\ntls_key = 'FILE.none'", "tls_key = .* is not a file"),
        ("proxy_user = 'u'", "proxy_user is not used without proxy"),
        ("proxy = 'http://p:1'\nproxy_password = 'x'", "not used without proxy_user"),
        ("proxy = 'http://p:1'\nproxy_user = 'a:b'", "colon"),
        ("proxy = 'p:3128'", "is not a proxy"),
        ("proxy = 'http://p'", "is not a proxy"),
        ("proxy = 'https://p:3128'", "is not a proxy"),
        ("proxy = 'http://p:3128/path'", "is not a proxy"),
        ("proxy = 'http://u:hidden@p:3128'", "proxy holds a password"),
    ],
)
def test_what_the_way_to_an_archive_can_not_be(load, tmp_path, text, message):
    (tmp_path / "pem").write_text("")
    with pytest.raises(ConfigError, match=message) as caught:
        load(ARCHIVE + text.replace("FILE", str(tmp_path / "pem")))
    assert "edge.toml:" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proxy_user = 'u'", "update.proxy_user is not used without proxy"),
        ("proxy = 'http://p:1'\nproxy_password = 'hidden'", "not used without proxy_user"),
        ("proxy = 'http://p:1'\nproxy_user = 'a:b'", "colon"),
        ("proxy = 'p:3128'", "is not a proxy"),
        ("proxy = 'http://u:hidden@p:3128'", "proxy holds a password"),
    ],
)
def test_what_the_way_to_the_server_of_updates_can_not_be(load, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load(f"[update]\n{text}\n")
    assert "hidden" not in str(caught.value)


def test_what_the_way_to_an_archive_can_be(load, tmp_path):
    (tmp_path / "pem").write_text("")
    text = f"tls_certificate = '{tmp_path}/pem'\ntls_key = '{tmp_path}/pem'\n"
    text += "proxy = 'http://proxy.clinic:3128'\nproxy_user = 'u'\nproxy_password = 'hidden'\n"
    (archive,) = load(ARCHIVE + text).cloud.archive
    assert archive.proxy == "http://proxy.clinic:3128"
    assert "hidden" not in repr(archive)
    with pytest.raises(ConfigError, match="not used by an url without https"):
        load((ARCHIVE + text).replace("https://archive.example", "http://127.0.0.1:1"))


@pytest.mark.parametrize("key", ["notify", "forward_mpps"])
def test_a_peer_that_is_told_something_must_be_somewhere(load, key):
    with pytest.raises(ConfigError, match=f"{key} needs to know where the peer is"):
        load(f'[[dimse.peer]]\nae_title = "RIS"\n{key} = true\n')


def test_each_provider_of_the_root_secret_has_its_keys(load):
    assert load("[keys]\nprovider = 'passphrase'\ngrace_hours = 0\n").keys.grace_hours == 0.0
    assert load("[keys]\nprovider = 'systemd-creds'\ncredential = 'k'\n").keys.credential == "k"


@pytest.mark.parametrize(
    ("keys", "line", "message"),
    [
        ("provider = 'tpm'\n", 2, "keys.provider must be one of"),
        ("provider = 'passphrase'\npath = '/k'\n", 3, "keys.path is not used by"),
        ("grace_hours = 1\n", 2, 'keys.grace_hours is not used by provider = "file"'),
        ("provider = 'passphrase'\ngrace_hours = 745\n", 3, "keys.grace_hours must be 744"),
        ("provider = 'systemd-creds'\ncredential = '../k'\n", 3, "keys.credential"),
        ("provider = 'systemd-creds'\npath = '/k'\n", 3, "keys.path is not used by"),
    ],
)
def test_what_a_provider_does_not_use_or_can_not_take_is_refused(
    load, tmp_path, keys, line, message
):
    with pytest.raises(ConfigError) as caught:
        load(f"[keys]\n{keys}")
    assert str(caught.value).startswith(f"{tmp_path}/edge.toml:{line}: {message}")


SERVER = f"[[keys.server]]\nurl = 'http://tang:7500'\nthumbprint = '{'A' * 43}'\n"


def test_servers_that_release_the_root_secret_are_named_with_their_thumbprints(load):
    loaded = load(f"[keys]\nprovider = 'network'\n{SERVER}").keys
    assert loaded.server == (others.KeyServer("http://tang:7500", "A" * 43),)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "keys.server is needed by"),
        (SERVER.replace("http:", "ftp:"), 4, "keys.server.0.url"),
        (SERVER.replace("tang:", "me:pw@tang:"), 4, "keys.server.0.url"),
        (SERVER.replace("7500", "7500/path"), 4, "keys.server.0.url"),
        (SERVER.replace("7500", "x"), 4, "keys.server.0.url"),
        (SERVER.replace("A" * 43, "A" * 42), 5, "keys.server.0.thumbprint"),
        (SERVER.replace("A" * 43, "A" * 42 + "="), 5, "keys.server.0.thumbprint"),
        (SERVER + SERVER, 8, "keys.server.1.thumbprint stands there twice"),
        (SERVER * 9, 27, "keys.server.8 is one too many"),
    ],
    ids=range(9),
)
def test_a_server_that_can_not_be_one_is_refused(load, tmp_path, text, line, message):
    with pytest.raises(ConfigError) as caught:
        load(f"[keys]\nprovider = 'network'\n{text}")
    assert str(caught.value).startswith(f"{tmp_path}/edge.toml:{line}: {message}")
