"""What may be said of an identity provider, and what is refused where it is said."""

from __future__ import annotations

import pytest

from edge.errors import ConfigError
from edge.loading import load

GOOD = {
    "issuer": '"https://login.example/realms/a"',
    "client_id": '"edge"',
    "client_secret": '"s"',
    "roles": '{ "grp.radiology" = "physician", "grp all" = "viewer" }',
}


def loaded(tmp_path, **changed):
    said = {key: value for key, value in (GOOD | changed).items() if value is not None}
    path = tmp_path / "edge.toml"
    path.write_text("[access.oidc]\n" + "".join(f"{key} = {said[key]}\n" for key in said))
    return load(path, {}).access.oidc


def test_what_is_needed_is_enough(tmp_path):
    oidc = loaded(tmp_path)
    assert dict(oidc.roles) == {"grp.radiology": "physician", "grp all": "viewer"}
    assert (oidc.grace_hours, oidc.recheck_minutes) == (72.0, 10.0)
    assert "'s'" not in repr(oidc)


def test_without_any_of_it_there_is_no_provider(tmp_path):
    assert load(None, {}).access.oidc.issuer == ""


def test_a_variable_says_roles_too():
    said = {
        "EDGE_ACCESS__OIDC__ISSUER": "https://login.example",
        "EDGE_ACCESS__OIDC__CLIENT_ID": "edge",
        "EDGE_ACCESS__OIDC__CLIENT_SECRET": "12345",
        "EDGE_ACCESS__OIDC__ROLES": '{ "a" = "viewer" }',
    }
    assert load(None, said).access.oidc.roles == {"a": "viewer"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"issuer": None}, "access.oidc.issuer is needed"),
        ({"issuer": '"login.example"'}, "is not an address"),
        ({"issuer": '"http://login.example"'}, "is refused"),
        ({"issuer": '"https://login.example/?a=b"'}, "has a query"),
        ({"issuer": '"https://login.example/#"'}, "has a query or a fragment"),
        ({"issuer": '"https://a:b@login.example"'}, "holds a user"),
        ({"client_id": None}, "client_id is needed"),
        ({"client_secret": None}, "client_secret is needed"),
        ({"client_auth": '"none"'}, "client_secret is not used"),
        ({"client_auth": '"key"', "client_secret": None}, "client_key is needed"),
        ({"client_key": '"/etc/passwd"'}, "client_key is not used"),
        (
            {"client_auth": '"key"', "client_secret": None, "client_key": '"/none"'},
            "client_key = /none is not a file",
        ),
        ({"client_auth": '"tls"'}, "client_auth must be one of"),
        ({"scopes": '["openid profile"]'}, 'scopes = "openid profile" is none'),
        ({"roles": None}, "roles is needed"),
        ({"roles": "{}"}, "roles is needed"),
        ({"roles": '["a"]'}, "edge.toml:5: access.oidc.roles must be a table"),
        ({"roles": '{ a = "service" }'}, "roles.a must be one of 'viewer'"),
        ({"roles": '{ a = "nurse" }'}, "roles.a must be one of 'viewer'"),
        ({"role_claim": '""'}, "role_claim must name a claim"),
        ({"name_claim": '""'}, "name_claim must name a claim"),
        ({"admin_acr": '["a b"]'}, 'admin_acr = "a b" is none'),
        ({"recheck_minutes": "0"}, "recheck_minutes must be 1 to 1440"),
        ({"recheck_minutes": "1441"}, "recheck_minutes must be 1 to 1440"),
        ({"grace_hours": "745"}, "grace_hours must be 744 at the most"),
        ({"tls_ca": '"/none"'}, "tls_ca = /none is not a file"),
        ({"proxy": '"https://proxy:1"'}, "is not a proxy"),
        ({"proxy_user": '"a"'}, "proxy_user is not used without proxy"),
        ({"realm": '"a"'}, "realm is not a known key"),
    ],
)
def test_what_can_t_be_meant_is_refused_with_its_place(tmp_path, changed, message):
    with pytest.raises(ConfigError) as refusal:
        loaded(tmp_path, **changed)
    assert message in str(refusal.value)
    assert "edge.toml" in str(refusal.value)
