"""The file that sets a box up, checked as a whole."""

from __future__ import annotations

import pytest

from edge.errors import ConfigError
from edge.machine.wishes import NetworkSettings
from edge.provision.file import read_setup, without_token

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
        (f"[{'a.' * 5000}a]\n", "tables in tables"),
        ('[cloud]\nx = """\n[setup]\n"""\n', "can't be told from the rest"),
        ('[setup]\nunknown = "x"\n', "setup: "),
        ('[setup]\ntoken = "1234"\n', "setup.token is no code | edge provision token"),
        ('[setup]\ntoken = "XXXX-XXXX-XXXX-XXXX"\n', "setup.token can be guessed | edge provision"),
        ('[setup]\ntoken = "7K2M\\u002DQ0XE-41TR-ZB9D"\n', "can't be struck out"),
        ('[setup]\nca = "../root.pem"\n', "setup.ca is no name of a file"),
        ('[setup.network]\naddress = ["192.168.1.10"]\n', "setup.network.address: "),
        ('[setup.network]\nipv4 = "x"\n', "setup: "),
        ("[setup]\nnetwork = 5\n", "setup: "),
        ('setup = { token = "" }\n', "can't be told from the rest"),
        ('[keys]\nprovider = "file"\n', "keys can't be said here"),
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
