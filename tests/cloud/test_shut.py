"""An archive whose secret can't be opened is not spoken with; the others are."""

from __future__ import annotations

import pytest

from edge import config, others
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.orthanc import OrthancArchive
from edge.cloud.shut import ShutArchive, driver_of, opened
from edge.cloud.transport import is_lasting
from edge.crypto.secrets import seal_secret
from edge.dicom.instance import InstanceRef
from edge.errors import CloudUnauthorised, ConfigError, SecretUnopened

KEY, REF = bytes(range(32)), InstanceRef("1.2", "1.2.3", "1.2.3.4")
ASKED = {
    "store": lambda archive: archive.store_instances([]),
    "studies": lambda archive: archive.search_studies(limit=1),
    "series": lambda archive: archive.search_series("1.2"),
    "instances": lambda archive: archive.search_instances("1.2", "1.2.3"),
    "instance": lambda archive: anext(archive.retrieve_instance(REF)),
    "study": lambda archive: anext(archive.retrieve_study("1.2")),
    "metadata": lambda archive: archive.retrieve_metadata("1.2"),
    "delete": lambda archive: archive.delete_instance(REF),
}


def archive(name, password, **more):
    auth = others.Auth("basic", user="u", password=password)
    return others.Archive(name, "http://127.0.0.1:9/dicom-web", auth=auth, **more)


@pytest.fixture
def cloud():
    return config.Cloud(
        (
            archive("sound", seal_secret("hush", KEY), kind="orthanc", role="copy"),
            archive("lost", seal_secret("hush", bytes(32))),
            archive("plain", "hush", role="copy"),
            archive("by the proxy", "hush", role="copy", proxy_password="sealed:abc"),
        )
    )


def test_each_archive_is_opened_by_itself(cloud):
    assert opened(cloud.archive[0], cloud, KEY).auth.password == "hush"
    with pytest.raises(SecretUnopened, match=r"^cloud\.archive\.1\.auth\.password was sealed"):
        opened(cloud.archive[1], cloud, KEY)


def test_one_that_is_lost_shuts_its_own_archive_alone(cloud):
    drivers = [driver_of(one, cloud, KEY) for one in cloud.archive]
    kinds = [OrthancArchive, ShutArchive, DicomwebArchive, ShutArchive]
    assert [type(one) for one in drivers] == kinds
    assert [one.name for one in drivers] == [one.name for one in cloud.archive]


def test_what_is_wrong_in_another_way_is_an_error_as_ever(cloud):
    for password in ("file:/none", "file:none"):
        one = archive("file", password)
        with pytest.raises(ConfigError):
            driver_of(one, config.Cloud((one,)), KEY)


@pytest.mark.parametrize("asked", ASKED)
async def test_whatever_is_asked_of_it_it_refuses_for_good(cloud, asked):
    shut = driver_of(cloud.archive[1], cloud, KEY)
    with pytest.raises(CloudUnauthorised, match=r"archive lost: .*auth\.password") as caught:
        await ASKED[asked](shut)
    assert is_lasting(caught.value)
    assert "type it again" in caught.value.hint
    await shut.close()
