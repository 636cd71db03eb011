from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from conftest import TestDatabase
from console_world import Site, make_world, partner, running

from trace_service.channel.importer import Job, import_files, installed_map
from trace_service.store.connection import connect

TEQU, PETITE = "09506000134352", "09506000134376"
CHENGDU, HANGZHOU = {"lon": 104.06, "lat": 30.67, "accuracy_m": 20}, {"lon": 120.16, "lat": 30.27, "accuracy_m": 20}
TABLES = {
    "products.csv": "gtin,name_zh,items_per_case,unit_price,unit_weight_g,product_line,valid_from\n"
    f"{TEQU},特曲,6,328,1050,tequ,2025-01-01\n{PETITE},小酌,6,128,560,petite,2025-01-01\n",
    "contracts.csv": "id,dealer,channel,product_lines,adcodes,exclusive,starts_on,ends_on\n"
    "C-LINE,D-LINE,retail,tequ,330000,no,2026-01-01,2026-06-30\n"
    "C-ON,D-NEW,online,,330000,no,2026-01-01,\nC-LATE,D-LATE,retail,,330000,no,2098-01-01,\n",
    "dealers.csv": "id,parent,name_zh,kind\nD-NEW,D-ZHEJIANG,新商,online\nD-LATE,D-ZHEJIANG,后来,city\n"
    "D-BARE,D-ZHEJIANG,无约,city\nD-LINE,D-ZHEJIANG,专营,city\n",
}


@pytest.fixture
def site(database: TestDatabase) -> Iterator[Site]:
    world = make_world(database.owner_dsn, database.trace_dsn)
    with connect(database.trace_dsn, "tests") as connection:
        files = [(name, text.encode()) for name, text in TABLES.items()]
        plan = import_files(connection, "qingyuan", files, Job("tests", installed_map()))
        assert plan.sound, plan.problems
    with running(world) as site:
        yield site


@pytest.fixture
def api(site: Site) -> Iterator[httpx.Client]:
    with partner(site, "check", "/check") as client:
        yield client


def ask(api: httpx.Client, act: str, **question: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    answer = api.post(f"/{act}", json={"product": TEQU, **question})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def codes(ruling: dict[str, Any]) -> list[str]:
    return [each["code"] for each in ruling["reasons"]]


def test_a_dealer_sells_at_home_and_nowhere_else(api: httpx.Client) -> None:
    home = ask(api, "sale", dealer="D-CHENGDU", position=CHENGDU)
    assert (home["verdict"], home["path"][-1], home["county"][:4]) == ("allowed", "D-CHENGDU", "5101")
    assert home["legal_dealers"] == ["D-CHENGDU", "D-SICHUAN", "D-SOUTHWEST"]
    assert home["contract"].startswith("T-")
    assert len(home["territory_version"]) == 64
    away = ask(api, "sale", dealer="D-CHENGDU", position=HANGZHOU)
    assert away["verdict"] == "not_allowed"
    assert away["signed_distance_m"] > 1_000_000
    assert "D-HANGZHOU" in away["legal_dealers"]
    vague = ask(api, "sale", dealer="D-CHENGDU", position={**CHENGDU, "accuracy_m": 40_000})
    assert vague["verdict"] == "unknown"


def test_a_shop_is_asked_by_its_id_alone(api: httpx.Client) -> None:
    assert ask(api, "sale", site="S-HANGZHOU-01")["verdict"] == "allowed"
    assert ask(api, "order", site="S-HANGZHOU-01", dealer="D-ZHEJIANG")["verdict"] == "allowed"
    foreign = ask(api, "order", site="S-HANGZHOU-01", dealer="D-CHENGDU")
    assert (foreign["verdict"], codes(foreign)) == ("not_allowed", ["site_of_another_dealer"])


def test_without_a_place_an_order_rests_on_the_contract_and_a_sale_on_nothing(api: httpx.Client) -> None:
    assert ask(api, "order", dealer="D-CHENGDU")["verdict"] == "allowed"
    sale = ask(api, "sale", dealer="D-CHENGDU")
    assert (sale["verdict"], codes(sale)) == ("unknown", ["contract", "no_place"])


@pytest.mark.parametrize(
    ("question", "verdict", "code"),
    [
        ({"dealer": "D-BARE"}, "not_allowed", "no_contract"),
        ({"dealer": "D-NEW"}, "not_allowed", "other_channel"),
        ({"dealer": "D-LATE"}, "not_allowed", "contract_not_begun"),
        ({"dealer": "D-NOBODY"}, "unknown", "unknown_dealer"),
        ({"dealer": "D-CHENGDU", "product": "09506000134390"}, "unknown", "unknown_product"),
        ({"site": "nowhere"}, "unknown", "unknown_site"),
    ],
)
def test_every_refusal_says_why(api: httpx.Client, question: dict[str, str], verdict: str, code: str) -> None:
    ruling = ask(api, "order", **question)
    assert (ruling["verdict"], codes(ruling)) == (verdict, [code])


def test_contracts_count_at_the_moment_that_is_asked_for(api: httpx.Client) -> None:
    ningbo = {"lon": 121.55, "lat": 29.87, "accuracy_m": 20}

    def at(moment: str, product: str = TEQU) -> tuple[str, str, str | None]:
        ruling = ask(api, "sale", dealer="D-LINE", position=ningbo, at=moment, product=product)
        return ruling["verdict"], codes(ruling)[0], ruling["contract"]

    assert at("2026-03-01T00:00:00Z") == ("allowed", "contract", "C-LINE")
    assert at("2026-03-01T00:00:00Z", PETITE) == ("not_allowed", "other_product_line", None)
    assert at("2026-06-30T23:59:59+08:00")[0] == "allowed"
    assert at("2026-07-01T00:00:00+08:00")[1] == "contract_ended"
    assert at("2025-12-31T23:59:59+08:00")[1] == "contract_not_begun"


def test_yesterdays_answer_can_be_asked_for(api: httpx.Client, database: TestDatabase) -> None:
    before = datetime.now(UTC).isoformat()
    with connect(database.trace_dsn, "tests") as connection:
        closing = b"id,parent,name_zh,kind,ended\nD-BEIJING,D-NORTH,x,city,yes\n"
        assert import_files(connection, "qingyuan", [("dealers.csv", closing)], Job("tests", installed_map())).sound
    later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert ask(api, "order", dealer="D-BEIJING", at=later, known_at=before)["verdict"] == "allowed"
    closed = ask(api, "order", dealer="D-BEIJING", at=later, known_at=datetime.now(UTC).isoformat())
    assert (closed["verdict"], codes(closed)) == ("not_allowed", ["dealer_closed"])


def test_a_batch_answers_in_order_and_nonsense_is_refused(api: httpx.Client) -> None:
    questions = [
        {"act": "sale", "product": TEQU, "dealer": "D-CHENGDU", "position": where} for where in (CHENGDU, HANGZHOU)
    ]
    answers = api.post("/batch", json={"questions": questions * 100}).json()["answers"]
    assert [each["verdict"] for each in answers] == ["allowed", "not_allowed"] * 100
    for wrong in (
        {"questions": []}, {"questions": questions * 501}, {"questions": [{**questions[0], "act": "steal"}]},
    ):  # fmt: skip
        assert api.post("/batch", json=wrong).status_code == 422
    for wrong in (
        {"product": TEQU}, {"product": "1", "dealer": "D-1"}, {"product": TEQU, "dealer": "D 1"},
        {"product": TEQU, "dealer": "D-1", "position": {"lon": 200, "lat": 0}},
        {"product": TEQU, "dealer": "D", "x": 1},
        {"product": TEQU, "dealer": "D-1", "at": "2026-01-01T00:00:00"},
    ):  # fmt: skip
        answer = api.post("/order", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_PARAMETER"), wrong


def test_another_brands_dealers_are_unknown(site: Site) -> None:
    with partner(site, "check", "/check", brand="rival") as rival:
        ruling = ask(rival, "order", dealer="D-CHENGDU")
    assert (ruling["verdict"], codes(ruling), ruling["path"]) == ("unknown", ["unknown_dealer"], [])
