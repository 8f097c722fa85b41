"""A station's URL and credentials are exactly what its CSMS expects, and nothing secret gets into a log."""

import base64
from typing import Any

import pytest

from gateway.csms.endpoint import LinkConfig, authorization, station_url, url_for_logs


@pytest.mark.parametrize(
    ("url", "identity", "expected"),
    [
        ("ws://h/ocpp", "RDAM 123", "ws://h/ocpp/RDAM%20123"),
        ("ws://h/ocpp/", "CP1", "ws://h/ocpp/CP1"),
        ("ws://h/ocpp//", "CP1", "ws://h/ocpp/CP1"),
        ("ws://h", "CP1", "ws://h/CP1"),
        ("ws://h:8080/", "a/b|c+ö", "ws://h:8080/a%2Fb%7Cc%2B%C3%B6"),
        ("wss://h/ocpp?token=x&y=1", "CP1", "wss://h/ocpp/CP1?token=x&y=1"),
        ("ws://h/{id}/tenant", "A B", "ws://h/A%20B/tenant"),
        ("ws://h/ocpp?station={id}", "A B", "ws://h/ocpp?station=A%20B"),
        ("ws://[::1]:9000/x", "CP1", "ws://[::1]:9000/x/CP1"),
        (" ws://h/x ", "CP1", "ws://h/x/CP1"),
    ],
)
def test_the_identity_stands_once_and_percent_encoded_in_the_url(
    url: Any, identity: Any, expected: Any
) -> None:
    """OCPP-J 1.6 §3.1.1, whatever slashes and queries the operator's URL has."""
    assert station_url(LinkConfig(url=url, identity=identity)) == expected


def test_a_url_may_be_complete_as_it_is() -> None:
    """Some backends hand out one URL per station."""
    config = LinkConfig(url="ws://h/OCPP16/tenant/token/CP1/", identity="CP1", append_identity=False)

    assert station_url(config) == "ws://h/OCPP16/tenant/token/CP1/"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "http://h/"}, "must look like ws://"),
        ({"url": "h/ocpp"}, "must look like ws://"),
        ({"url": "ws:///ocpp"}, "must look like ws://"),
        ({"url": "ws://user:secret@h/"}, "user name or password"),
        ({"url": "ws://h/#here"}, "#here"),
        ({"identity": ""}, "no identity"),
        ({"security_profile": 4}, "does not exist"),
        ({"security_profile": 1}, "needs a password"),
        ({"security_profile": 1, "password": b"x", "identity": "a:b"}, "colon"),
        ({"security_profile": 2, "password": b"x"}, "needs TLS"),
        ({"security_profile": 3, "url": "wss://h/"}, "client certificate"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_configured(options: Any, message: Any) -> None:
    """The sentence says what is wrong, and no secret."""
    with pytest.raises(ValueError, match=message) as caught:
        LinkConfig(**({"url": "ws://h/", "identity": "CP1"} | options))

    assert "secret" not in str(caught.value)


def test_the_password_goes_out_as_bytes_behind_the_unescaped_identity() -> None:
    """[TC_085]: a hex key of 1.6 need not be UTF-8."""
    key = bytes.fromhex("FF00FE8041")
    config = LinkConfig(url="ws://h/", identity="RDAM 123", security_profile=1, password=key)

    header = authorization(config)
    assert header is not None
    assert base64.b64decode(header.removeprefix("Basic ")) == b"RDAM 123:" + key


def test_only_profiles_with_a_password_send_one() -> None:
    """Profile 0 has no authentication, profile 3 has a certificate."""
    assert authorization(LinkConfig(url="ws://h/", identity="CP1", password=b"x")) is None
    config = LinkConfig(
        url="wss://h/",
        identity="CP1",
        security_profile=3,
        password=b"x",
        client_cert_file="c",
        client_key_file="k",
    )
    assert authorization(config) is None


def test_a_url_in_a_log_has_no_secrets() -> None:
    """Names of query fields stay, their values go; so do user and password."""
    assert url_for_logs("wss://u:p@h:1/ocpp/CP1?token=abc&x=1") == "wss://h:1/ocpp/CP1?token=…&x=…"
    assert url_for_logs("ws://h/ocpp") == "ws://h/ocpp"
