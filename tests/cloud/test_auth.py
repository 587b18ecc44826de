import httpx
import pytest

from edge import others
from edge.cloud.auth import auth_of
from edge.cloud.aws import AwsAuth
from edge.cloud.dicomweb import DicomwebArchive
from edge.cloud.token_auth import TokenAuth
from edge.errors import ConfigError

OAUTH2 = {
    "token_url": "https://login.example/token",
    "client_id": "edge",
    "client_secret": "secret",
}
AWS = {"region": "eu-west-1", "access_key_id": "AKIDEXAMPLE", "secret_access_key": "secret"}


def auth(*positional, **settings):
    return auth_of(
        others.Archive(
            "cloud", "https://archive.example", auth=others.Auth(*positional, **settings)
        )
    )


def headers_of(signing):
    flow = signing.sync_auth_flow(httpx.Request("GET", "https://archive.example"))
    return next(flow).headers["Authorization"]


def test_nobody_is_nobody():
    assert auth() is None


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (
            {"kind": "basic", "user": "edge", "password": "secret"},
            "Basic ZWRnZTpzZWNyZXQ=",
        ),
        ({"kind": "bearer", "token": "abc.def"}, "Bearer abc.def"),
    ],
)
def test_requests_are_signed(settings, header):
    assert headers_of(auth(**settings)) == header


def test_each_kind_has_its_way(tmp_path):
    assert isinstance(auth("oauth2", **OAUTH2), TokenAuth)
    assert isinstance(auth("google", key_file=tmp_path / "key.json"), TokenAuth)
    assert isinstance(auth("aws", **AWS), AwsAuth)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"kind": "basic", "password": "secret"}, "user"),
        ({"kind": "basic", "user": "a:b", "password": "secret"}, "user"),
        ({"kind": "bearer"}, "token"),
        ({"kind": "bearer", "token": "abc\n"}, "token"),
        ({"kind": "bearer", "token": "abc def"}, "token"),
        ({"kind": "bearer", "token": "\u00e9"}, "token"),
        *(({"kind": "oauth2", **OAUTH2, key: ""}, key) for key in OAUTH2),
        ({"kind": "oauth2", **OAUTH2, "token_url": "login.example"}, "token_url"),
        ({"kind": "oauth2", **OAUTH2, "token_url": "https://u:secret@login.example"}, "token_url"),
        ({"kind": "oauth2", **OAUTH2, "token_url": "https://login.example:secret"}, "token_url"),
        ({"kind": "google"}, "key_file"),
        *(({"kind": "aws", **AWS, key: ""}, key) for key in (*AWS, "service")),
        *(({"kind": "aws", **AWS, key: "abc secret"}, key) for key in (*AWS, "service")),
        ({"kind": "aws", **AWS, "session_token": "secret\r\nX: 1"}, "session_token"),
    ],
)
def test_credentials_that_can_not_work_are_an_error_of_the_configuration(settings, key):
    with pytest.raises(ConfigError, match=rf"cloud\.archive auth\.{key} ") as caught:
        auth(**settings)
    told = f"{caught.value} {caught.value.hint}"
    assert not any(word in told for word in ("abc", "= secret", ":secret", "secret\r"))


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "basic", "user": "edge", "password": "hush"},
        {"kind": "bearer", "token": "hush"},
        {"kind": "oauth2", **OAUTH2, "client_secret": "hush"},
        {"kind": "aws", **AWS, "secret_access_key": "hush", "session_token": "hush"},
    ],
)
def test_a_secret_shows_in_no_repr(settings):
    archive = others.Archive("cloud", "https://archive.example", auth=others.Auth(**settings))
    assert "hush" not in repr(archive)
    assert "hush" not in repr(auth_of(archive))


async def test_the_token_endpoint_has_an_authority_of_its_own(fake, tmp_path):
    auth = others.Auth("oauth2", **OAUTH2, tls_ca=tmp_path / "missing.pem")
    async with DicomwebArchive(others.Archive("cloud", fake.url, auth=auth)) as archive:
        with pytest.raises(ConfigError, match=r"missing\.pem"):
            await archive.search_studies(limit=1)
    assert not fake.requests
