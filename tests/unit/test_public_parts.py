"""Parts of the resolver that need no server: paths, targets, wishes and limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ConfigurationError
from contracts.gs1 import Gs1Error
from trace_service.public.address import Address, read_address
from trace_service.public.limits import PER_MINUTE, PER_MINUTE_INSIDE, Allowance, Visitors, network_of
from trace_service.public.links import Link, check_target, choose
from trace_service.public.negotiation import Wish, languages, wish

GTIN = "09506000134352"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        (f"/01/{GTIN}", f"/01/{GTIN}"),
        ("/01/9506000134352/21/S", f"/01/{GTIN}/21/S"),
        ("/01/95060002", "/01/00000095060002"),
        (f"/01/{GTIN}/22/V/10/L/21/S", f"/01/{GTIN}/22/V/10/L/21/S"),
        (f"/01/{GTIN}/21/%41%2F%2f", f"/01/{GTIN}/21/A%2F%2F"),
        ("/00/095060000000000015/", "/00/095060000000000015"),
        ("/414/9506000134352/254/1", "/414/9506000134352/254/1"),
    ],
)
def test_a_path_has_one_canonical_form(path: str, canonical: str) -> None:
    assert read_address(path).path == canonical
    assert read_address(canonical).path == canonical


@pytest.mark.parametrize(
    ("path", "reason", "position"),
    [
        ("/01/09506000134353", "CHECK_DIGIT", 17),
        ("/01/9506000134353/21/S", "CHECK_DIGIT", 16),
        (f"/x/01/{GTIN}", "URI_NO_KEY", 0),
        (f"/01/{GTIN}/21/A%20B", "NOT_IN_SET_82", 23),
        (f"/01/{GTIN}/21/S/10/L", "URI_QUALIFIERS", 19),
        ("/01/" + "1" * 400, "INPUT_TOO_LONG", 400),
    ],
)
def test_what_is_no_code_is_refused_where_it_breaks(path: str, reason: str, position: int) -> None:
    with pytest.raises(Gs1Error) as caught:
        read_address(path)
    assert (caught.value.reason, caught.value.position) == (reason, position)


def address_or_none(path: str) -> Address | None:
    try:
        return read_address(path)
    except Gs1Error:
        return None


@given(st.sampled_from(["/01/", "/00/", "/414/", f"/01/{GTIN}/"]), st.text(max_size=60))
def test_no_path_leads_off_the_host(start: str, rest: str) -> None:
    address = address_or_none(start + rest)
    if address is None:
        return
    assert address.path.startswith(("/01/", "/00/", "/414/"))
    assert address.path.isascii()
    assert not set(address.path) & set("\\?#\r\n ")
    assert read_address(address.path) == address


@pytest.mark.parametrize(
    "target",
    [
        "http://brand.example/", "https://", "https:///x", "https://u@brand.example/", "https://u:p@brand.example/",
        "https://{gtin}.example/", "https://brand.example/{dealer}", "https://brand.example/{gtin", "//brand.example",
        "https://brand.example/a b", "https://brand.example\\@evil.example/", "javascript:alert(1)",
        "https://brand.example:99999/", "https://brand.example/\n", "https://品牌.example/",
    ],
)  # fmt: skip
def test_targets_that_no_brand_may_configure(target: str) -> None:
    with pytest.raises(ConfigurationError):
        check_target(target)


@given(st.text(alphabet="./@:?#\\{}%ab ", max_size=20))
def test_fields_never_change_a_targets_host(serial_like: str) -> None:
    link = Link("gs1:pip", None, check_target("https://brand.example/i?s={serial}"), "T", is_default=True, own=False)
    address = address_or_none(f"/01/{GTIN}/21/{serial_like}")
    if address is None:
        return
    assert link.address_for(address).startswith("https://brand.example/i?s=")


def test_the_readers_language_comes_before_the_products_own_link() -> None:
    def link(language: str | None, *, own: bool) -> Link:
        return Link("gs1:pip", language, "https://a.example/", f"{language} {own}", is_default=False, own=own)

    address = read_address(f"/01/{GTIN}")
    links = [link("en", own=True), link("zh", own=False), link(None, own=False), link(None, own=True)]
    for wanted, title in ((["zh"], "zh False"), (["en", "zh"], "en True"), (["fr"], "None True")):
        found = choose(links, address, wanted, "gs1:pip")
        assert found is not None
        assert found.title == title


@pytest.mark.parametrize(
    ("accept", "link_type", "expected"),
    [
        ("", None, Wish.LINK),
        ("*/*", None, Wish.LINK),
        ("text/html,application/xhtml+xml,*/*;q=0.8", None, Wish.PAGE),
        ("application/linkset+json", None, Wish.LINK_SET),
        ("text/html;q=0.5, application/json", None, Wish.LINK_SET),
        ("image/png", None, Wish.LINK),
        ("text/html", "all", Wish.LINK_SET),
        ("text/html", "gs1:pip", Wish.LINK),
        ("*/*", "gs1:verificationService", Wish.PAGE),
        ("*/*", "pip", Wish.NOTHING),
        ("text/html;q=x,,;;q=", None, Wish.LINK),
    ],
)
def test_what_a_request_wants(accept: str, link_type: str | None, expected: Wish) -> None:
    assert wish({"accept": accept}, link_type) is expected


def test_languages_in_the_order_of_their_weights() -> None:
    assert languages("fr;q=0.3, en-GB;q=0.9, zh-CN", "en") == ["en", "zh", "fr"]


def test_an_address_gets_its_share_and_no_more_and_others_get_theirs() -> None:
    clock = Clock()
    allowance = Allowance(clock)
    asker, other, proxy = "203.0.113.9", "2001:db8::/64", "172.18.0.1"
    assert [allowance.wait(asker) for _ in range(PER_MINUTE)] == [0.0] * PER_MINUTE
    wait = allowance.wait(asker)
    assert 0 < wait <= 60 / PER_MINUTE
    assert allowance.wait(other) == 0
    clock.now += wait
    assert allowance.wait(asker) == 0
    assert allowance.wait(asker) > 0
    assert sum(allowance.wait(proxy) == 0 for _ in range(5000)) == PER_MINUTE_INSIDE


@pytest.mark.parametrize(
    ("address", "asker"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("testclient", ""),
    ],
)
def test_who_counts_as_one(address: str, asker: str) -> None:
    assert network_of(address) == asker


def test_a_visitor_is_the_same_for_a_day_and_nobody_the_next() -> None:
    clock = Clock()
    visitors = Visitors(clock)
    name = visitors.name("203.0.113.9")
    assert visitors.name("203.0.113.9") == name != visitors.name("203.0.113.8")
    clock.now += 86_400
    assert visitors.name("203.0.113.9") != name
