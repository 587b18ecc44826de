"""The file that sets a box up, checked as a whole."""

from __future__ import annotations

import codecs
import re
import time

import pytest

from edge.crypto.recovery import RecoveryKey
from edge.errors import ConfigError
from edge.machine.wishes import NetworkSettings
from edge.provision.file import read_setup
from edge.provision.text import text_of, without_token
from tests.documents import ROOT

TOKEN = "7K2M-Q0XE-41TR-ZB9D"
WHOLE = f"""
[setup]
token = "{TOKEN}"
ca = "ca.pem"

[setup.network]
address = ["192.168.1.10/24"]
gateway = ["192.168.1.1"]

[appliance]
name = "radiology"

[[dimse.peer]]
ae_title = "CT1"
host = "192.168.1.20"

[[cloud.archive]]
name = "hospital"
url = "https://archive.example/dicom-web"
auth = {{ kind = "basic", user = "edge", password = "secret" }}
"""


def refused(text):
    with pytest.raises(ConfigError) as caught:
        read_setup(text, "edge.toml")
    return f"{caught.value} | {caught.value.hint}"


def test_a_whole_file():
    setup = read_setup(WHOLE, "edge.toml")
    assert set(setup.changes) == {"appliance.name", "dimse.peer", "cloud.archive"}
    assert setup.config.appliance.name == "radiology"
    assert setup.config.cloud.archive[0].auth.password == "secret"
    assert (setup.token, setup.ca) == (TOKEN, "ca.pem")
    assert setup.network == NetworkSettings(address=("192.168.1.10/24",), gateway=("192.168.1.1",))


def test_a_file_that_says_nothing_of_the_machine_leaves_it():
    setup = read_setup('[appliance]\nname = "radiology"\n', "edge.toml")
    assert (setup.token, setup.ca, setup.network) == ("", "", None)
    assert not read_setup("", "edge.toml").changes


@pytest.mark.parametrize("path", ["image/README.md", "manual/machine.md"])
def test_the_examples_of_the_guides_are_taken_as_they_stand(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    blocks = re.findall(r"^```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    files = [block for block in blocks if "[[cloud.archive]]" in block]
    [example] = [block for block in files if "[setup.restore]" not in block]
    [other] = [block for block in files if "[setup.restore]" in block]
    key = " ".join(RecoveryKey(bytes(32)).to_groups())
    restored = read_setup(other.replace("…", key), "edge.toml")
    assert restored.secret == key
    assert restored.config.cloud.archive[0].name == "hospital"
    if "XXXX" in example:  # a place for one, not a token
        example = example.replace("XXXX-XXXX-XXXX-XXXX", TOKEN)
    setup = read_setup(example, "edge.toml")
    assert setup.config.dimse.peer[0].ae_title == "CT1"
    assert "kind" in setup.changes["cloud.archive"][0]
    assert bool(setup.token) == ("[setup]" in example)


def test_a_token_of_ones_own_is_taken_as_the_guides_say():
    drawn = WHOLE.replace(TOKEN, "7K2MQ0XE41TRZB9D")
    assert read_setup(drawn, "edge.toml").token == "7K2MQ0XE41TRZB9D"
    said = refused(WHOLE.replace(TOKEN, "my-own-token"))
    assert "setup.token is no code" in said
    assert "leave it out: then the code on the screen of the box makes the first admin" in said


def test_it_is_known_again_when_its_token_is_struck_out():
    struck = without_token(WHOLE, TOKEN)
    assert TOKEN not in struck
    assert read_setup(struck, "edge.toml").token == ""
    assert read_setup(struck, "edge.toml").digest == read_setup(WHOLE, "edge.toml").digest
    other = WHOLE.replace("radiology", "cardiology")
    assert read_setup(other, "edge.toml").digest != read_setup(WHOLE, "edge.toml").digest


def test_what_is_wrong_is_said_with_its_line():
    assert "edge.toml:5: sync.sweep_minuets is not a known key" in refused(
        "[setup]\n\n\n[sync]\nsweep_minuets = 5\n"
    )
    assert "edge.toml:10: dimse.listen" in refused(
        WHOLE.replace('[appliance]\nname = "radiology"', '[dimse]\nlisten = "nowhere"')
    ).replace("edge.toml:11", "edge.toml:10")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[setup", "is not TOML"),
        ("[" * 10_000, "is not TOML"),
        (f"[cloud]\nx = {'9' * 5000}\n", "is not TOML"),
        (f"[cloud]\nx = 0x{'f' * 9000}\n", "a number that is too large"),
        (f"[{'a.' * 900}a]\n", "tables in tables"),
        (f"\n{'a.' * 30000}a = 1\n", "edge.toml:2: has more than 1000 points in a line"),
        ('[cloud]\nx = """\n[setup]\n"""\n', "can't be told from the rest"),
        (
            '[setup]\nunknown = "x"\n',
            "edge.toml:2: setup.unknown is not a known key | known here: ca",
        ),
        (
            '[setup]\n\ntoken = "1234"\n',
            "edge.toml:3: setup.token is no code | have a password manager draw 16 digits and",
        ),
        ('[setup]\ntoken = "XXXX-XXXX-XXXX-XXXX"\n', "setup.token can be guessed | have a"),
        ('[setup]\ntoken = "7K2M\\u002DQ0XE-41TR-ZB9D"\n', "can't be struck out"),
        ('[setup]\nca = "../root.pem"\n', "setup.ca is no name of a file"),
        ("[[setup]]\n", "edge.toml: setup must be a table | write it as [setup]"),
        (
            '[setup.network]\naddress = ["192.168.1.10"]\n',
            "edge.toml:2: setup.network.address = '192.168.1.10' is no address with a length",
        ),
        (
            '[setup]\n[setup.network]\naddress = "192.168.1.10/24"\n',
            'setup.network.address must be an array | write address = ["192.168.1.10/24"]',
        ),
        (
            '[setup.network]\naddress = ["192.168.1.10/24"]\n\ngateway = ["10.0.0.1"]\n',
            "edge.toml:4: setup.network.gateway = '10.0.0.1' is in no network of the address",
        ),
        (
            f"[setup.network]\ndns = {['192.168.1.1'] * 9}\n",
            "edge.toml:2: setup.network.dns has more, or longer, values",
        ),
        ('[setup.network]\nvlan = "7"\n', "edge.toml:2: setup.network.vlan must be a whole number"),
        ('[setup.network]\nipv4 = "x"\n', "edge.toml:2: setup.network.ipv4 is not a known key"),
        ("[setup]\nnetwork = 5\n", "edge.toml:2: setup.network must be a table"),
        ('setup = { token = "" }\n', "can't be told from the rest"),
        ('[keys]\nprovider = "file"\n', "keys can't be said here: the disk image chose what opens"),
        ('[update]\nkeys = "/mnt/stick"\n', "update.keys can't be said here"),
        ('[appliance]\ndata_dir = "/tmp"\n', "appliance.data_dir can't be said here"),
        ("[nonsense]\nkey = 1\n", "nonsense is not a known key"),
        ('[http]\ntls = "off"\n', "http.tls"),
        ('[dimse]\nunknown_peers = "accept"\n', "dimse.unknown_peers"),
    ],
)
def test_a_file_with_anything_wrong_is_refused_as_a_whole(text, said):
    assert said in refused(text)


def test_a_table_of_that_name_elsewhere_is_another():
    text = '[setup]\n[appliance]\nname = "setup"\n'
    assert read_setup(text, "edge.toml").config.appliance.name == "setup"


@pytest.mark.parametrize("quotes", ["\u201c\u201d", "\u201e\u201c", "\u2019\u2019", "\u00ab\u00bb"])
def test_of_curly_quotes_it_is_said_what_they_are(quotes):
    said = refused(f"[appliance]\nname = {quotes[0]}radiology{quotes[1]}\n")
    assert said.startswith("edge.toml:2: is not TOML: ")
    assert "curly" in said
    assert "straight" in refused("[appliance]\nname = radiology\n").partition("|")[2]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[appliance]\nname = "radiology\nlab = true\n', "edge.toml:2"),
        ("[appliance]\nname = 'radiology\nlab = true\n", "edge.toml"),
        ('[appliance]\nname = "radiology', "edge.toml"),
        ('[http]\n\nnames = [\n  "a,\n]\n', "edge.toml:4"),
    ],
)
def test_that_a_closing_quotation_mark_is_missing_is_said_so(text, place):
    said = refused(text)
    assert said.startswith(f"{place}: is not TOML: the quotation mark that ends a text is missing")
    assert 'name = "radiology"' in said


def test_all_mistakes_are_told_at_once_in_the_order_of_their_lines():
    said = refused(
        """[setup]
token = "1234"
tokne = "x"
[setup.network]
dns = "192.168.1.1"
[appliance]
nmae = "x"
data_dir = "/srv"
[dimse]
listen = "nowhere"
max_pdu = "large"
[[dimse.peer]]
ae_title = "CT1"
hots = "192.168.1.20"
port = "x"
[sync]
sweep_minutes = 0
retry_min_seconds = 0
[nonsense]
a = 1
"""
    )
    lines = said.split("\n")
    assert lines[0] == "edge.toml: has 12 mistakes"
    told = [line.split(": ")[0:2] for line in lines[1:] if line.startswith("edge.toml:")]
    assert [(place.removeprefix("edge.toml:"), what.split(" ")[0]) for place, what in told] == [
        ("2", "setup.token"),
        ("3", "setup.tokne"),
        ("5", "setup.network.dns"),
        ("7", "appliance.nmae"),
        ("8", "appliance.data_dir"),
        ("10", "dimse.listen"),
        ("11", "dimse.max_pdu"),
        ("14", "dimse.peer.0.hots"),
        ("15", "dimse.peer.0.port"),
        ("17", "sync.sweep_minutes"),
        ("18", "sync.retry_min_seconds"),
        ("19", "nonsense"),
    ]
    assert "    known here: " in said


def test_what_follows_from_a_mistake_is_not_told_as_another():
    said = refused(
        """[[cloud.archive]]
nmae = "hospital"
url = "https://archive.example/dicom-web"
auth = { kind = "basik", user = "edge", password = "secret" }
[[cloud.archive]]
name = "copy"
url = "https://copy.example/dicom-web"
role = "copy"
"""
    )
    assert "has 3 mistakes" in said
    assert "cloud.archive.0.nmae is not a known key" in said
    assert "cloud.archive.0.auth.kind must be one of" in said
    assert "cloud.archive.0.name is missing" in said


def places_in(said):
    return re.findall(r"^edge\.toml:(\d+): ([\w.]+)", said, re.MULTILINE)


def test_no_mistake_hides_another():
    """They took three rounds: one in [setup] hid the network, a kind or a title what stood by."""
    said = refused(
        """[setup]
tokne = "x"
[setup.network]
address = ["192.168.1.10"]
gateway = ["192.168.1"]
dns = ["192.168.1.1", "192.168.1.256", "dns"]
vlan = 7
[[dimse.peer]]
ae_title = "A TITLE THAT IS TOO LONG"
host = "192.168.1.300"
port = 99999
[[dimse.peer]]
port = 0
[[cloud.archive]]
name = "hospital"
kind = "pacs"
url = "http://archive.example/dicom-web"
auth = { kind = "basic", user = "radiology" }
[[cloud.archive]]
name = "copy"
role = "copi"
url = "archive.example"
auth = { kind = "oauth2", client_id = "edge" }
[sync]
calendar = ["mon 8-9", "tue 8-9"]
"""
    )
    assert places_in(said) == [
        ("2", "setup.tokne"),
        ("4", "setup.network.address"),
        ("5", "setup.network.gateway"),
        ("6", "setup.network.dns"),
        ("6", "setup.network.dns"),
        ("7", "setup.network.vlan"),
        ("9", "dimse.peer.0.ae_title"),
        ("10", "dimse.peer.0.host"),
        ("11", "dimse.peer.0.port"),
        ("12", "dimse.peer.1.ae_title"),
        ("13", "dimse.peer.1.port"),
        ("16", "cloud.archive.0.kind"),
        ("17", "cloud.archive.0.url"),
        ("18", "cloud.archive.0.auth.password"),
        ("21", "cloud.archive.1.role"),
        ("22", "cloud.archive.1.url"),
        ("23", "cloud.archive.1.auth.token_url"),
        ("23", "cloud.archive.1.auth.client_secret"),
        ("25", "sync.calendar.0"),
        ("25", "sync.calendar.1"),
    ]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('[setup.network]\naddress = "192.168.1.10/24"\ngateway = ["192.168.1.1"]\n', ["2"]),
        ('[setup.network]\naddress = ["192.168.1.10"]\ngateway = ["10.0.0.1"]\n', ["2"]),
        ('[setup.network]\ninterface = "?"\nvlan = 7\n', ["2"]),
        ('[[dimse.peer]]\nae_title = "CT1"\nhost = "a b"\nnotify = true\n', ["3"]),
        (
            (
                '[[cloud.archive]]\nname = "a"\nurl = "https://a.example"\nproxy = "p"\n'
                'proxy_user = "edge"\nproxy_password = "secret"\n'
            ),
            ["4"],
        ),
        (
            (
                '[[worklist.source]]\nname = "ris"\nkind = "dikom"\npath = "/srv"\n'
                '[[worklist.source]]\nname = "other"\nkind = "dicom"\nae_title = "RIS"\n'
            ),
            ["3", "5"],
        ),
        (
            (
                '[[cloud.archive]]\nname = "a"\nrole = "main"\nurl = "https://a.example"\n'
                '[[cloud.archive]]\nname = "b"\nrole = "copy"\nurl = "ftp://b.example"\n'
            ),
            ["3", "8"],
        ),
        (
            ('[appliance]\nlab = "yes"\n[[cloud.archive]]\nname = "a"\nurl = "http://a.example"\n'),
            ["2"],
        ),
        ('[dimse]\ntls_ca = "/none"\n[[dimse.peer]]\nae_title = "A"\ncertificate = "a"\n', ["2"]),
        (
            (
                '[access.oidc]\nissuer = "https://a.example?b"\nclient_id = "edge"\n'
                'client_secret = "secret"\nroles = { "grp.a" = "adnim" }\n'
            ),
            ["2", "5"],
        ),
        ('cloud = { archive = ["x", 5] }\n', ["1", "1"]),
    ],
)
def test_what_follows_is_no_mistake(text, places):
    assert [place for place, _ in places_in(refused(text))] == places


def test_a_user_without_a_password_is_refused():
    """It was sound, and the box never got to the archive."""
    said = refused(WHOLE.replace(', password = "secret"', ""))
    assert said.startswith("edge.toml:20: cloud.archive.0.auth.password is missing")
    assert 'where the archive wants none, write password = ""' in said
    assert read_setup(WHOLE.replace('"secret"', '""'), "edge.toml").changes


def test_beside_a_backup_all_is_told_at_once_too():
    said = refused(
        f'[setup]\ntoken = "{TOKEN}"\n[setup.restore]\nkey = "x"\n'
        '[sync]\nsweep_minutes = 5\nx = 1\n[page]\nlanguage = "fr"\n'
    )
    assert [place for place, _ in places_in(said)] == ["2", "3", "4", "6", "7", "9"]


def test_of_very_many_mistakes_the_first_are_told():
    said = refused("[sync]\n" + "".join(f"x{at} = {at}\n" for at in range(2000)))
    assert said.startswith("edge.toml: has more than 20 mistakes\n")
    assert said.count("is not a known key") == 20


@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_windows_editor_writes_is_read(form):
    text = WHOLE.replace("radiology", "radiologie-k\u00f6ln").replace("\n", "\r\n")
    mark = "\ufeff" if form.startswith("utf-16-") else ""
    read = text_of((mark + text).encode(form), "edge.toml")
    assert read == text.replace("\r\n", "\n")


def test_of_what_is_no_text_it_is_said_where_and_how_it_is_saved():
    for data in (b'[appliance]\nname = "k\xf6ln"\n', b"\xff\xfea"):
        with pytest.raises(ConfigError) as caught:
            text_of(data, "edge.toml")
        place = "edge.toml:2" if data.startswith(b"[") else "edge.toml"
        assert str(caught.value) == f"{place}: is not text in UTF-8"
        assert "Notepad" in caught.value.hint


@pytest.mark.parametrize("before", [b"", codecs.BOM_UTF8], ids=["plain", "marked"])
def test_the_line_of_what_is_no_text_is_that_of_the_file_as_it_is_shown(before):
    with pytest.raises(ConfigError, match=r"^edge\.toml:3: is not text in UTF-8$"):
        text_of(before + b"a\r\n\r\n\xf6", "edge.toml")


def test_it_is_known_where_the_authority_was_named():
    assert read_setup(WHOLE, "edge.toml").ca_place == "edge.toml:4"
    assert read_setup("", "edge.toml").ca_place == "edge.toml"


def test_a_line_of_blanks_is_looked_at_once():
    """It took minutes of a minute's patience: the time grew with the cube of the blanks."""
    begun = time.process_time()
    assert "is not TOML" in refused(f"x = [\n[{' ' * 60_000}\n1]\n")
    assert time.process_time() - begun < 5.0


@pytest.mark.parametrize("number", ["99999", "9" * 5000])
def test_what_stands_in_a_file_is_no_place_in_it(number):
    said = refused(f'["at line {number}"]\n["at line {number}"]\n')
    assert said.startswith("edge.toml:2: is not TOML: Cannot declare")


def test_what_is_no_number_is_said_to_be_none():
    said = refused("[sync]\nsweep_minutes = nan\n")
    assert said.startswith("edge.toml:2: sync.sweep_minutes is no number")


@pytest.mark.parametrize(
    ("name", "what"),
    [
        (r"a\nPage       https://evil.example/", "U+000A as its character 2"),
        (r"\u001b[31mred", "U+001B as its character 1"),
        (r"a\u0000b", "U+0000"),
        (r"a\u202egpj.exe", "U+202E"),
        ("a" * 101, "more than 100 characters"),
    ],
)
def test_a_box_is_called_by_one_line_that_can_be_seen(name, what):
    said = refused(f'[appliance]\nname = "{name}"\n')
    assert said.startswith("edge.toml:2: appliance.name has ")
    assert what in said
    good = '[appliance]\nname = "St. Brigid \u00e9 \\u0645\\u06cc\\u200c\\u062e"\n'
    assert read_setup(good, "edge.toml").changes


@pytest.mark.parametrize("quotes", ['"""', "'''"])
def test_a_token_that_could_not_be_struck_out_is_refused(quotes):
    assert "can't be struck out" in refused(f"[setup]\ntoken = {quotes}{TOKEN}{quotes}\n")
    escaped = TOKEN.replace("7", "\\u0037", 1)
    assert "can't be struck out" in refused(f'[setup]\ntoken = "{escaped}" # {TOKEN}\n')


def test_the_files_on_the_recovery_sheet_can_be_taken():
    script = (ROOT / "edge/pages/files/js/paper.js").read_text()
    page = (ROOT / "edge/pages/templates/backup.html").read_text()
    [said] = re.findall(r"const setupFile = \[(.*?)\];", script, re.DOTALL)
    lines = [one or two for one, two in re.findall(r"\"(.*?)\"(?=[,\s]|$)|'(.*?)'", said)]
    assert all(line in page for line in lines)
    key = " ".join(RecoveryKey(bytes(32)).to_groups())
    text = "\n".join(lines).replace("RECOVERY KEY", key)
    setup = read_setup(text.replace('"URL"', '"https://archive.example/dicom-web"'), "edge.toml")
    assert setup.secret == key
    [archive] = setup.config.cloud.archive
    assert archive.url == "https://archive.example/dicom-web"
    beside = f'{text.partition("[[cloud")[0]}file = "backup.edge"\n'
    assert read_setup(beside, "edge.toml").restore.file == "backup.edge"
    assert key not in repr(read_setup(beside, "edge.toml").restore)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (f'[setup]\ntoken = "{TOKEN}"\n', "makes no admin beside"),
        ("[sync]\nsweep_minutes = 5\n", "the backup has the settings"),
        ('[[cloud.archive]]\nname = "a"\nurl = "https://a.example"\n', "must say one place"),
    ],
)
def test_what_the_backup_says_is_not_said_beside_it(more, why):
    table = '[setup.restore]\nfile = "backup.edge"\n'
    assert why in refused(f"{more}{table}" if "token" in more else f"{table}{more}")


def test_in_a_laboratory_the_backup_may_come_by_http():
    """It was advised to say so, and then to leave that out."""
    key = " ".join(RecoveryKey(bytes(32)).to_groups())
    table = f'[setup.restore]\nkey = "{key}"\n'
    archive = '[[cloud.archive]]\nname = "a"\nurl = "http://192.0.2.7/dicom-web"\n'
    lab = "[appliance]\nlab = true\n"
    assert "set appliance.lab = true in a laboratory" in refused(table + archive)
    setup = read_setup(f"{lab}{table}{archive}", "edge.toml")
    assert setup.config.cloud.archive[0].url == "http://192.0.2.7/dicom-web"
    assert "the backup has the settings" in refused(f'{lab}{table}file = "backup.edge"\n')
