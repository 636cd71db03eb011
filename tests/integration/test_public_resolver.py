"""The resolver and the page for consumers, on a real database, over HTTP."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString
from uuid import uuid4

import asking
import httpx
import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import BRAND, Site, make_world, running
from prometheus_client import CollectorRegistry

from cli.main import main
from contracts.gs1 import check_digit, item_key
from contracts.tc20 import Tc20
from trace_service.keys import KeyWrapper
from trace_service.public import limits
from trace_service.public.service import PublicService
from trace_service.web.headers import CONTENT_SECURITY_POLICY

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.9"}
LINK_SET = {"Accept": "application/linkset+json"}
STRANGER = "09506000999999"
ORIGIN = "https://id.codefence.example"


class Market:
    """A running site, and the codes that it knows."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.wrapper = KeyWrapper(site.world.settings.key_encryption_key)
        self.database = psycopg.connect(site.world.owner_dsn, autocommit=True)
        batch = self.row(
            "SELECT gtin, epoch, lower(counters), upper(counters) FROM trace.batch WHERE brand = %s"
            " AND commissioned_at IS NOT NULL ORDER BY id LIMIT 1",
            BRAND,
        )
        self.gtin, self.epoch, self.first, self.end = batch

    def row(self, query: LiteralString, *parameters: object) -> tuple[Any, ...]:
        row = self.database.execute(query, parameters).fetchone()
        assert row is not None
        return row

    def item(self, counter: int, epoch: int | None = None) -> str:
        epoch = self.epoch if epoch is None else epoch
        (wrapped,) = self.row("SELECT wrapped FROM trace.master_key WHERE brand = %s AND epoch = %s", BRAND, epoch)
        return item_key(self.gtin, Tc20(self.wrapper.unwrap(wrapped), BRAND, epoch).issue(self.gtin, counter))

    def get(self, path: str, **headers: str) -> httpx.Response:
        return asking.get(self.site.url + path, headers=BROWSER | headers)


@pytest.fixture
def market(database: TestDatabase) -> Iterator[Market]:
    with running(make_world(database.owner_dsn, database.trace_dsn)) as site:
        found = Market(site)
        yield found
        found.database.close()


def heading(page: httpx.Response) -> str:
    found = re.search(r"<h1>([^<]+)</h1>", page.text)
    assert found is not None
    return found[1]


def without_path(page: httpx.Response) -> str:
    return re.sub(r"next=[^\"]+", "next=", page.text)


def test_a_genuine_item_is_told_from_one_that_was_looked_at_before(market: Market) -> None:
    path = market.item(market.end - 1)
    assert heading(market.get(path)) == "Registered product"
    assert "first look" in market.get(path).text, "the same visitor on the same day is no second one"
    assert market.row("SELECT count(*), max(looked_up_at) FROM trace.lookup")[0] == 1
    market.database.execute("UPDATE trace.lookup SET visitor = 'somebody', looked_up_at = '2026-03-05 10:00+00'")
    again = market.get(path)
    assert "in March 2026" in again.text
    assert "2026年3月" in market.get(path, **{"Accept-Language": "zh-CN"}).text
    for secret in (path, "D-", "dealer", "somebody", "10:00"):
        assert secret not in without_path(again).replace("/static/", ""), secret


def test_old_look_ups_go(market: Market) -> None:
    path = market.item(market.end - 1)
    for days, visitor in ((401, b"old-eyes"), (399, b"new-eyes")):
        market.database.execute(
            "INSERT INTO trace.lookup VALUES (%s, %s, %s, date_trunc('hour', now() - %s * interval '1 day', 'UTC'))",
            (path, visitor, BRAND, days),
        )
    market.get(path)
    assert market.row("SELECT count(*), min(visitor) FROM trace.lookup WHERE visitor LIKE '%%eyes'") == (1, b"new-eyes")


def test_what_many_people_look_up_is_not_confirmed(market: Market) -> None:
    path = market.item(market.end - 1)
    for number in range(20):
        market.database.execute(
            "INSERT INTO trace.lookup VALUES (%s, %s, %s, date_trunc('hour', now(), 'UTC'))",
            (path, number.to_bytes(8, "big"), BRAND),
        )
    page = market.get(path)
    assert heading(page) == "We cannot confirm this item"
    assert "fake" not in page.text.lower()


def test_every_failure_has_one_and_the_same_page(market: Market) -> None:
    genuine = market.item(market.end - 1)
    unissued = market.item(2**39)
    other = "0950600099999"
    paths = [
        unissued,
        genuine[:-1] + ("0" if genuine[-1] != "0" else "1"),
        f"/01/{market.gtin}/21/HELLO",
        f"/01/{other}{check_digit(other)}/21/HELLO",
        f"/01/{other}{check_digit(other)}",
        "/01/09506000134353",
        "/01/hello/21/x",
        "/01/" + "9" * 900,
        f"/01/{market.gtin}/21/%00",
        f"/01/{market.gtin}/99/x",
    ]
    market.database.execute("UPDATE trace.batch SET commissioned_at = NULL WHERE int8range(%s, %s) && counters",
                            (market.end - 1, market.end))  # fmt: skip
    pages = [market.get(path) for path in [*paths, genuine]]
    assert {page.status_code for page in pages} == {200}
    assert len({without_path(page) for page in pages}) == 1
    assert heading(pages[0]) == "We could not verify this code"
    assert market.row("SELECT count(*) FROM trace.lookup") == (0,), "strangers' guesses leave no rows"


def test_training_labels_recalled_items_products_boxes_and_places(market: Market) -> None:
    path = market.item(market.end - 1)
    event = {
        "brand": BRAND, "unit": path, "at": datetime.now(UTC) - timedelta(hours=1), "boot": uuid4(),
    }  # fmt: skip
    for seq, step in enumerate(("commissioning", "recalling")):
        market.database.execute(
            "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, device, boot, seq, reason,"
            " verified) VALUES (%(brand)s, %(unit)s, %(step)s, 'factory', %(at)s, 'test', %(boot)s, %(seq)s, 'taste',"
            " true)",
            event | {"step": step, "seq": seq, "at": event["at"] + timedelta(minutes=seq)},
        )
    assert heading(market.get(path)) == "This product is being recalled"
    market.database.execute(
        "INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES (%s, 0, %s) ON CONFLICT DO NOTHING",
        (BRAND, market.wrapper.fresh()),
    )
    assert heading(market.get(market.item(7, epoch=0))) == "Training label"
    product = market.get(f"/01/{market.gtin}/10/LOT")
    assert heading(product) == "Product code"
    assert "LOT" not in without_path(product)
    market.database.execute(
        "INSERT INTO trace.custody_event (brand, unit, biz_step, site, occurred_at, device, boot, seq, reason,"
        " verified) VALUES (%(brand)s, %(lot)s, 'recalling', 'factory', %(at)s, 'test', %(boot)s, 9, 'taste', true)",
        event | {"lot": f"/01/{market.gtin}/10/L%2B2"},
    )
    assert heading(market.get(f"/01/{market.gtin}/10/L%2B2")) == "This product is being recalled"
    assert heading(market.get(f"/01/{market.gtin}/10/LOT")) == "Product code"
    assert heading(market.get("/00/095060000000000015")) == "Shipping label"
    assert heading(market.get("/414/9506000134352/254/1")) == "Code of a place"


def test_the_page_works_without_script_in_both_languages(market: Market) -> None:
    path = market.item(market.end - 1)
    with asking.Client(base_url=market.site.url, headers=BROWSER, follow_redirects=True) as client:
        english = client.get(path)
        assert english.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert english.headers["cache-control"] == "no-store"
        assert english.headers["referrer-policy"] == "same-origin"
        assert "<script" not in english.text
        assert not re.search(r"\sstyle=|\son[a-z]+=", english.text)
        switch = re.search(r'href="(/language/zh[^"]+)"', english.text)
        assert switch is not None
        chinese = client.get(switch[1])
        assert str(chinese.url).endswith(path)
        assert heading(chinese) == "已登记的产品"
    style = re.search(r'href="(/static/public[^"]+)"', english.text)
    assert style is not None
    assert asking.get(market.site.url + style[1]).is_success


def links(*arguments: str, market: Market) -> str:
    settings = market.site.world.settings
    environment = {
        "TRACE_DATABASE_URL": settings.database_url.get_secret_value(),
        "TRACE_KEY_ENCRYPTION_KEY": settings.key_encryption_key.get_secret_value(),
    }
    answer = CliRunner().invoke(main, ["trace", "links", *arguments], env=environment)
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_machines_are_sent_on_by_type_and_language(market: Market) -> None:
    path = market.item(market.end - 1)
    add = ("add", "--brand", BRAND)
    links(*add, "gs1:pip", "https://brand.example/p/{gtin}", "Product", "--default", market=market)
    links(*add, "gs1:pip", "https://brand.example/zh/{gtin}", "产品", "--language", "zh", market=market)
    links(*add, "gs1:pip", "https://brand.example/own", "Own", "--gtin", market.gtin, "--language", "en", market=market)
    links(*add, "gs1:instructions", "https://brand.example/i?s={serial}", "How to use", market=market)
    machine = {"Accept": "*/*"}

    def target(path: str, **headers: str) -> str:
        answer = asking.get(market.site.url + path, headers=machine | headers)
        assert answer.status_code == 307, answer.text
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.headers["location"]

    assert target(path) == f"https://brand.example/p/{market.gtin}"
    assert target(f"{path}?linkType=gs1:defaultLink") == f"https://brand.example/p/{market.gtin}"
    assert target(f"{path}?linkType=gs1:pip", **{"Accept-Language": "zh-CN,zh"}).endswith(f"/zh/{market.gtin}")
    assert target(f"{path}?linkType=gs1:pip", **{"Accept-Language": "en"}) == "https://brand.example/own"
    serial = path.rpartition("/")[2]
    assert target(f"{path}?linkType=gs1:instructions") == f"https://brand.example/i?s={serial}"
    shown = market.get(path).text
    assert 'href="https://brand.example/own" rel="noopener noreferrer nofollow" hreflang="en">Own</a>' in shown
    assert "brand.example" not in market.get(f"/01/{market.gtin}/21/HELLO").text
    refusals = {
        f"/01/{market.gtin}?linkType=gs1:instructions": (404, "LINK_NOT_FOUND"),
        f"{path}?linkType=gs1:recallStatus": (404, "LINK_NOT_FOUND"),
        f"{path}?linkType=https://evil.example": (400, "LINK_TYPE"),
        "/01/09506000134353": (400, "CHECK_DIGIT"),
        f"/01/{STRANGER}": (404, "NOT_FOUND"),
    }
    for refused, expected in refusals.items():
        answer = asking.get(market.site.url + refused, headers=machine)
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()["code"]) == expected
    (kept, *_) = [json.loads(line) for line in links("list", "--json", market=market).splitlines()]
    links("remove", str(kept["id"]), "--brand", BRAND, market=market)
    assert len(links("list", "--json", market=market).splitlines()) == 3


def test_without_a_default_link_machines_are_sent_to_the_page(market: Market) -> None:
    path = market.item(market.end - 1)
    answer = asking.get(market.site.url + path, headers={"Accept": "*/*"})
    assert answer.headers["location"] == f"{path}?linkType=gs1:verificationService"
    page = asking.get(market.site.url + answer.headers["location"], headers={"Accept-Language": "en"})
    assert heading(page) == "Registered product"


def check_link_set(body: dict[str, Any]) -> None:
    """RFC 9264, section 4.2: contexts of relations, each a list of targets with typed attributes."""
    assert list(body) == ["linkset"]
    for context in body["linkset"]:
        assert re.fullmatch(r"https://[^\s?#]+", context["anchor"])
        for relation, targets in context.items():
            if relation == "anchor":
                continue
            assert re.fullmatch(r"https://gs1\.org/voc/[A-Za-z]+", relation)
            assert targets
            for link in targets:
                assert set(link) <= {"href", "title", "title*", "type", "hreflang"}
                assert re.fullmatch(r"https://\S+", link["href"])
                assert isinstance(link["title"], str)
                assert all(isinstance(tag, str) for tag in link.get("hreflang", []))
                assert all(set(title) == {"value", "language"} for title in link.get("title*", []))


def test_the_link_set_has_every_level_of_a_code(market: Market) -> None:
    add = ("add", "--brand", BRAND)
    links(*add, "gs1:pip", "https://brand.example/p/{gtin}", "Product", "--default", market=market)
    links(*add, "gs1:traceability", "https://brand.example/lot/{lot}", "Lot", market=market)
    links(*add, "gs1:instructions", "https://brand.example/i?s={serial}", "How to use", market=market)
    serial = "A%2FB"
    path = f"/01/{market.gtin}/10/L%2B1/21/{serial}"
    for address, headers in ((path, LINK_SET), (f"{path}?linkType=all", {"Accept": "*/*"})):
        answer = asking.get(market.site.url + address, headers=headers)
        assert answer.headers["content-type"] == "application/linkset+json"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "max-age" in answer.headers["cache-control"]
        body = answer.json()
        check_link_set(body)
        assert [context["anchor"].removeprefix(ORIGIN) for context in body["linkset"]] == [
            f"/01/{market.gtin}", f"/01/{market.gtin}/10/L%2B1", path,
        ]  # fmt: skip
        voc = "https://gs1.org/voc/"
        first, second, third = body["linkset"]
        assert voc + "pip" in first
        assert voc + "traceability" not in first
        assert second[voc + "traceability"][0]["href"] == "https://brand.example/lot/L%2B1"
        assert third[voc + "instructions"][0]["href"] == f"https://brand.example/i?s={serial}"
        assert all(context[voc + "defaultLink"][0]["title"] == "Product" for context in body["linkset"])
        assert all(ORIGIN in context[voc + "verificationService"][0]["href"] for context in body["linkset"])
    box = asking.get(f"{market.site.url}/00/095060000000000015", headers=LINK_SET).json()
    check_link_set(box)
    described = asking.get(f"{market.site.url}/.well-known/gs1resolver").json()
    assert described["resolverRoot"] == ORIGIN


def test_other_ways_to_write_a_code_lead_to_the_canonical_one(market: Market) -> None:
    gtin = market.gtin
    short = f"/01/{gtin.lstrip('0')}"
    ways = {
        f"/01/{gtin}/": f"/01/{gtin}",
        f"/01/{gtin}/21/%41b%2dc": f"/01/{gtin}/21/Ab-c",
        f"/01/{gtin}/10/a+b?linkType=all": f"/01/{gtin}/10/a%2Bb?linkType=all",
        f"/01/{gtin}/21/a(b)?next=//evil.example": f"/01/{gtin}/21/a%28b%29?next=//evil.example",
    }
    if len(short) in {12, 16, 17}:
        ways[f"{short}/21/S"] = f"/01/{gtin}/21/S"
    for written, canonical in ways.items():
        answer = market.get(written)
        assert (answer.status_code, answer.headers["location"]) == (308, canonical), written
    for hostile in ("//evil.example/01/" + gtin, "/01//evil.example", f"/01/{gtin}/21/..%2f..%2f", "/01/%5c%5cevil"):
        location = market.get(hostile).headers.get("location", "/")
        assert re.match(r"/(?![/\\])", location), hostile


def test_head_and_options(market: Market) -> None:
    path = market.item(market.end - 1)
    head = httpx.head(market.site.url + path, headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["link"] == f'<{ORIGIN}{path}?linkType=linkset>; rel="linkset"; type="application/linkset+json"'
    assert market.row("SELECT count(*) FROM trace.lookup") == (0,)
    asked = httpx.options(market.site.url + path, headers={"Origin": "https://app.example"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == "*"
    assert asked.headers["allow"] == "GET, HEAD, OPTIONS"
    assert asking.post(market.site.url + path).status_code == 405


def test_a_database_that_does_not_answer_is_a_page_and_not_a_hang(market: Market) -> None:
    with psycopg.connect(market.site.world.owner_dsn) as other:
        other.execute("LOCK TABLE trace.public_link IN ACCESS EXCLUSIVE MODE")
        page = asking.get(f"{market.site.url}/01/{market.gtin}", headers=BROWSER)
    assert page.status_code == 503
    assert heading(page) == "Please try again shortly"
    assert int(page.headers["retry-after"]) == 5
    assert heading(market.get(f"/01/{market.gtin}")) == "Product code"


def test_one_address_is_slowed_down(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PER_MINUTE", 5)  # a bucket that no busy machine lets fill while it is emptied
    with asking.Client(base_url=market.site.url, headers=BROWSER) as client:
        # The proxy on this machine is trusted to say who asks.
        client.headers["X-Forwarded-For"] = "203.0.113.8"

        def ask_until_refused(**headers: str) -> httpx.Response:
            for _ in range(20):
                answer = client.get("/00/095060000000000015", headers=headers)
                if answer.status_code == 429:
                    return answer
            raise AssertionError("never refused")

        page = ask_until_refused()
        assert heading(page) == "Please try again shortly"
        assert int(page.headers["retry-after"]) >= 1
        assert ask_until_refused(**LINK_SET).json()["code"] == "TOO_MANY_REQUESTS"
        neighbour = client.get("/00/095060000000000015", headers={"X-Forwarded-For": "203.0.113.9"})
        assert neighbour.status_code == 200
    assert asking.get(f"{market.site.url}/login").is_success, "the console is not affected"


def test_strangers_are_answered_with_few_rights(market: Market) -> None:
    market.get(market.item(market.first))
    pids = market.database.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'codefence-public'")
    assert pids.fetchall(), "they have connections of their own"
    for table in ("account", "session", "partner_token", "alert", "webhook"):
        row = market.row("SELECT has_table_privilege('codefence_public', 'trace.' || %s, 'SELECT, INSERT')", table)
        assert row == (False,), table
    settings = market.site.world.settings
    service = PublicService(settings, CollectorRegistry())
    service.open()
    with service.connection() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT FROM trace.account")
    service.close()
