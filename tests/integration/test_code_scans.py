"""The page of a code says where it was scanned, what was found and which alerts and cases cite it."""

import asking
import psycopg
import pytest
from conftest import TestDatabase
from console_world import BRAND, LOGIN, OTHER_LOGIN, PASSWORD, World, add_case, make_world, running
from test_console_pages import log_in


def scanned(world: World) -> tuple[str, str]:
    """Return an item that an alert cites and its case, which it lies in on record."""
    with psycopg.connect(world.owner_dsn) as owner:
        row = owner.execute("SELECT unit, case_unit FROM trace.alert_evidence ORDER BY seq LIMIT 1").fetchone()
        assert row is not None
        owner.execute(
            "INSERT INTO trace.containment (brand, child, parent, valid_from)"
            " VALUES (%s, %s, %s, now() - interval '4d')",
            (BRAND, *row),
        )
    return row[0], row[1]


def scan_again(world: World, unit: str, times: int) -> None:
    """Let a case's other items be scanned by consumers, after the one that the alert cites.

    No serial of ours holds a U, so the other item is never the first one.
    """
    with psycopg.connect(world.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.containment (brand, child, parent, valid_from)"
            " SELECT brand, left(unit, -1) || 'U', case_unit, now() - interval '4d' FROM trace.verdict WHERE unit = %s",
            (unit,),
        )
        owner.execute(
            "INSERT INTO trace.verdict (device, boot, seq, brand, code, unit, gtin, case_unit, activity, occurred_at,"
            " code_state, custody_state, place) SELECT device, boot, seq + 90000 + number, brand, code,"
            " left(unit, -1) || 'U', gtin, case_unit, 'consumer', occurred_at + number * interval '1 minute',"
            " 'genuine', 'ok', 'no_location'"
            " FROM trace.verdict, generate_series(1, %s) AS number WHERE unit = %s",
            (times, unit),
        )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", ("扫码与预警", "杭州市", "在成都蜀清商贸的区域外", "正品码", "随扫码上报的位置")),
        (
            "en",
            (
                "Scans and alerts",
                "Hangzhou",
                "outside the territory of Chengdu Shuqing Trading",
                "genuine",
                "position as sent",
            ),
        ),
    ],
)
def test_a_code_in_an_alert_shows_its_scans_and_who_cites_them(
    database: TestDatabase, language: str, words: tuple[str, ...]
) -> None:
    world = make_world(database.owner_dsn, database.trace_dsn)
    case_file = add_case(world)
    item, case = scanned(world)
    cited = (f'href="/alerts/{world.alert}"', f'href="/cases/{case_file}"')
    with running(world) as site:
        headers = {"Origin": site.url, "Accept-Language": language}
        with asking.Client(base_url=site.url, headers=headers) as client:
            log_in(client, LOGIN, PASSWORD)
            for code in (item, case):
                page = client.get("/codes", params={"code": code}).text
                assert [each for each in (*words, *cited) if each not in page] == [], code
            early = client.get("/codes", params={"code": item, "known": "2020-01-01T00:00"}).text
            assert not any(each in early for each in cited)
            scan_again(world, item, 22)
            for code in (item, case):
                page = client.get("/codes", params={"code": code}).text
                assert all(each in page for each in cited), "later scans of other items push out none that is cited"
                assert page.count('href="/scans/') == 20
                assert ("另有 3 条" if language == "zh" else "Not shown: 3,") in page
            strange = client.get("/codes", params={"code": item[:-1] + "U"}).text
            assert ("流转记录中没有它的任何内容" if language == "zh" else "Custody has nothing on record") in strange
            assert strange.count('href="/scans/') == 20
        with asking.Client(base_url=site.url, headers=headers) as client:
            log_in(client, OTHER_LOGIN, PASSWORD)
            answer = client.get("/codes", params={"code": item})
            assert answer.is_success
            assert not any(each in answer.text for each in (*cited, "/scans/"))


def test_why_a_text_is_no_code_is_said_in_the_language_of_the_page(database: TestDatabase) -> None:
    world = make_world(database.owner_dsn, database.trace_dsn)
    wrong = {"hello": "既不是 GS1 数字链接", "(01)09506000134353(21)A": "校验位不符", "(01)0950600013435X(21)A": "数字"}
    with running(world) as site:
        headers = {"Origin": site.url, "Accept-Language": "zh"}
        with asking.Client(base_url=site.url, headers=headers) as client:
            log_in(client, LOGIN, PASSWORD)
            for code, words in wrong.items():
                page = client.get("/codes", params={"code": code})
                assert page.status_code == 422
                assert words in page.text
            assert (
                "不符合 GS1 规则（URN_SCHEME）" in client.get("/codes", params={"code": "urn:epc:id:nonsense:1.2"}).text
            )
            english = client.get("/codes", params={"code": "hello"}, headers={"Accept-Language": "en"})
            assert "neither a GS1 Digital Link nor a GS1 element string" in english.text
