from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.webhooks import REPLAY_SECONDS, SignatureError, sign, verify
from trace_service.webhooks.addresses import is_allowed, require_deliverable

PRIVATE = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001:db8::1",
)  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_inside_is_reached_however_it_is_written(address: str) -> None:
    assert not is_allowed(ip_address(address), ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111"])
def test_public_addresses_are_reached(address: str) -> None:
    assert is_allowed(ip_address(address), ())


def test_only_what_the_operator_allows_is_reached_besides() -> None:
    networks = (ip_network("10.1.0.0/16"),)
    assert is_allowed(ip_address("10.1.2.3"), networks)
    assert is_allowed(ip_address("::ffff:10.1.2.3"), networks)
    assert not is_allowed(ip_address("10.2.0.1"), networks)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/x", "ftp://example.com", "https://", "https://u:p@example.com/", "https://a b.example/",
        "https://example.com/#x", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/latest",
        "https://例.example/", "https://example.com:99999/", "https://example.com:0/", "https://[::1", "//example.com",
        "https://example.com/\r\nX: y", "https://example.com/" + "x" * 2000,
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_delivered_to_are_refused_at_once(url: str) -> None:
    with pytest.raises(ConfigurationError):
        require_deliverable(url, ())


def test_plain_http_is_for_this_machine_and_needs_leave() -> None:
    loopback = (ip_network("127.0.0.0/8"),)
    require_deliverable("http://127.0.0.1:9000/hook", loopback)
    with pytest.raises(ConfigurationError):
        require_deliverable("http://10.0.0.1/hook", (ip_network("10.0.0.0/8"),))
    with pytest.raises(ConfigurationError):
        require_deliverable("http://127.0.0.1:9000/hook", ())


@given(body=st.binary(max_size=200), flip=st.integers(0, 10_000), later=st.integers(-2000, 2000))
def test_a_signature_holds_for_these_bytes_and_a_short_time(body: bytes, flip: int, later: int) -> None:
    header = sign("whsec_x", body, 1_700_000_000)
    now = 1_700_000_000 + later
    if abs(later) <= REPLAY_SECONDS:
        verify("whsec_x", body, header, now)
    else:
        with pytest.raises(SignatureError, match="signed"):
            verify("whsec_x", body, header, now)
    altered = body + b"x" if flip % 2 else b"x" + body
    with pytest.raises(SignatureError):
        verify("whsec_x", altered, header, 1_700_000_000)
    with pytest.raises(SignatureError):
        verify("whsec_y", body, header, 1_700_000_000)


@pytest.mark.parametrize("header", ["", "t=,v1=", "v1=" + "0" * 64, "t=1700000000,v1=" + "0" * 64, "t=1700000000"])
def test_nonsense_is_no_signature(header: str) -> None:
    with pytest.raises(SignatureError):
        verify("whsec_x", b"{}", header, 1_700_000_000)
