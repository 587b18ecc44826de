import httpx
import pytest

from edge import config
from edge.cloud.auth import auth_of
from edge.errors import ConfigError


def headers_of(settings):
    flow = auth_of(settings).sync_auth_flow(httpx.Request("GET", "https://archive.example"))
    return next(flow).headers["Authorization"]


def test_nobody_is_nobody():
    assert auth_of(config.Auth()) is None


@pytest.mark.parametrize(
    ("settings", "header"),
    [
        (config.Auth("basic", user="edge", password="secret"), "Basic ZWRnZTpzZWNyZXQ="),
        (config.Auth("bearer", token="abc.def"), "Bearer abc.def"),
    ],
)
def test_requests_are_signed(settings, header):
    assert headers_of(settings) == header


@pytest.mark.parametrize(
    "settings",
    [
        config.Auth("basic", password="secret"),
        config.Auth("basic", user="a:b", password="secret"),
        config.Auth("bearer"),
        config.Auth("bearer", token="abc\n"),
        config.Auth("bearer", token="abc def"),
        config.Auth("bearer", token="\u00e9"),
    ],
)
def test_credentials_that_can_not_work_are_an_error_of_the_configuration(settings):
    with pytest.raises(ConfigError) as caught:
        auth_of(settings)
    assert "secret" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_secret_shows_in_no_repr():
    auth = auth_of(config.Auth("bearer", token="abc.def"))
    assert "abc" not in repr(auth)
