"""The channel without a database: tables there and back, and the tree through time against a simple reference."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.gs1 import check_digit
from trace_service.channel.contracts import grant_at, period, spans
from trace_service.channel.export import all_tables, as_csv, as_excel
from trace_service.channel.plan import Context, make_plan, read_files
from trace_service.channel.problems import FieldError, Problem
from trace_service.channel.tables import TABLES
from trace_service.channel.tree import order_keys, path_at, tree_faults
from trace_service.channel.values import day, gtin, moment, plain
from trace_service.channel.versions import ALWAYS, Channel, Line, Version

NOW = datetime(2026, 7, 1, tzinfo=UTC)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
KEYS = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
ADCODES = st.lists(st.sampled_from(["330100", "330200", "510000", "440100"]), min_size=1, max_size=3, unique=True)
DAYS = st.dates(min_value=datetime(2020, 1, 1).date(), max_value=datetime(2030, 1, 1).date())  # noqa: DTZ001  days


@st.composite
def channels(draw: st.DrawFn) -> Channel:
    """Return a sound channel: dealers in a tree, contracts, products, sites; some of it only from a day on."""
    channel = Channel()

    def learn(kind: str, key: str, facts: dict[str, object]) -> None:
        since = draw(st.sampled_from([ALWAYS, NOW - timedelta(days=900)]))
        channel.learn(kind, key, "b", Version(since, facts, ended=False, recorded_at=NOW, id=1))

    dealers = draw(st.lists(KEYS, min_size=1, max_size=8, unique=True))
    for index, key in enumerate(dealers):
        parent = draw(st.sampled_from([None, *dealers[:index]]))
        names = {"name_zh": draw(NAMES), "name_en": draw(NAMES)}
        facts = {"parent": parent, **names, "kind": draw(st.sampled_from(["city", "sub"]))}
        channel.learn("dealer", key, "b", Version(ALWAYS, facts, ended=False, recorded_at=NOW, id=1))
    for key in draw(st.lists(KEYS, max_size=4, unique=True)):
        starts, ends = sorted([draw(DAYS), draw(DAYS)])
        learn("contract", key, {
            "dealer": draw(st.sampled_from(dealers)), "channel": "retail", "product_lines": [],
            "adcodes": sorted(draw(ADCODES)), "exclusive": False, "starts_on": starts.isoformat(),
            "ends_on": draw(st.sampled_from([None, ends.isoformat()])),
        })  # fmt: skip
    for key in draw(st.lists(KEYS, max_size=3, unique=True)):
        lon = draw(st.one_of(st.none(), st.integers(-1_800_000_000, 1_800_000_000).map(lambda v: v / 10**7)))
        learn("site", key, {
            "kind": "store", "dealer": draw(st.sampled_from([None, *dealers])), "name_zh": draw(NAMES),
            "name_en": draw(NAMES), "gln": None, "lon": lon, "lat": None if lon is None else 12.25, "crs": "wgs84",
            "adcode": None,
        })  # fmt: skip
    return channel


@settings(max_examples=60, deadline=None)
@given(channels(), st.sampled_from(["zh", "en"]), st.booleans())
def test_importing_an_export_is_nothing_new(channel: Channel, language: str, workbook: bool) -> None:  # noqa: FBT001
    tables = all_tables(channel, "b", NOW, language)  # type: ignore[arg-type]
    if workbook:
        files = [("all.xlsx", as_excel(tables))]
    else:
        files = [(f"{name}.csv", as_csv(head, rows)) for name, (head, rows) in tables.items()]
    problems: list[Problem] = []
    entries = read_files(files, problems)
    plan = make_plan(channel, "b", entries, Context(NOW, None))
    assert [each.code for each in [*problems, *plan.problems]] == ["NO_MAP"]
    assert plan.changes == []
    assert len(entries) == sum(1 for kind, _ in channel.lines if channel.at(kind, _, NOW))


MOVES = st.lists(
    st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 5)), st.integers(0, 6)), min_size=1, max_size=14
)


@settings(max_examples=300, deadline=None)
@given(MOVES)
def test_every_circle_is_found_at_whatever_time_it_closes(moves: list[tuple[int, int | None, int]]) -> None:
    channel = Channel()
    for dealer in range(6):
        facts = {"parent": None}
        channel.learn("dealer", str(dealer), "b", Version(ALWAYS, facts, ended=False, recorded_at=NOW))
    for dealer, parent, since in moves:
        facts = {"parent": None if parent is None else str(parent)}
        start = NOW + timedelta(days=since)
        channel.learn("dealer", str(dealer), "b", Version(start, facts, ended=False, recorded_at=NOW))

    def has_circle(at: datetime) -> bool:
        for start in map(str, range(6)):
            seen, place = set(), start
            while place is not None:
                if place in seen:
                    return True
                seen.add(place)
                version = channel.at("dealer", place, at)
                place = version.facts["parent"] if version else None
        return False

    truly = any(has_circle(NOW + timedelta(days=each)) for each in range(7))
    assert any(fault.code == "CYCLE" for fault in tree_faults(channel, "b")) == truly


@given(st.lists(st.integers(0, 30), min_size=0, max_size=30))
def test_order_keys_nest_as_the_tree_does(choices: list[int]) -> None:
    parents: dict[str, str | None] = {"d00": None}
    for number, choice in enumerate(choices, start=1):
        known = sorted(parents)
        parents[f"d{number:02}"] = ([None, *known])[choice % (len(known) + 1)]
    places = order_keys(parents)
    assert len({edge for place in places.values() for edge in (place.lft, place.rgt)}) == 2 * len(parents)
    for child, parent in parents.items():
        for other in parents:
            chain, at = [], parent
            while at is not None:
                chain.append(at)
                at = parents[at]
            inside = places[other].lft < places[child].lft < places[child].rgt < places[other].rgt
            assert inside == (other in chain)
        assert places[child].level == len(chain)


def test_a_tree_of_a_thousand_levels_has_its_path_and_keys() -> None:
    channel = Channel()
    for level in range(1000):
        facts = {"parent": str(level - 1) if level else None}
        channel.learn("dealer", str(level), "b", Version(ALWAYS, facts, ended=False, recorded_at=NOW))
    assert path_at(channel, "999", NOW) == [str(level) for level in reversed(range(1000))]
    parents = {key: version.facts["parent"] for key, version in channel.in_force("dealer", NOW)}
    assert order_keys(parents)["999"].level == 999


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ADCODES, DAYS, st.one_of(st.none(), DAYS)), max_size=6), DAYS)
def test_a_territory_is_what_its_contracts_grant_on_every_day(
    contracts: list[tuple[list[str], object, object]], asked: object
) -> None:
    lines: list[Line] = []
    for adcodes, starts, ends in contracts:
        if ends is not None and str(ends) < str(starts):
            continue
        facts = {
            "dealer": "d", "channel": "retail", "adcodes": adcodes, "exclusive": True, "starts_on": str(starts),
            "ends_on": None if ends is None else str(ends),
        }  # fmt: skip
        lines.append(Line("b", [Version(ALWAYS, facts, ended=False, recorded_at=NOW)]))
        assert period(facts).starts.hour == 16, "midnight in China"
    at = moment(str(asked))
    granted = {code for line in lines if (grant := grant_at("", line, at)) for code in grant.adcodes}
    found = spans(lines, "d", "retail")
    here = [span for span in found if span.starts <= at and (span.ends is None or at < span.ends)]
    assert set(here[0].adcodes if here else ()) == granted
    assert all(first.ends == second.starts for first, second in pairwise(found))


@given(st.text(max_size=40))
def test_no_cell_makes_a_reader_fail(cell: str) -> None:
    for table in TABLES:
        for column in table.all_columns:
            if plain(cell) == "":
                continue
            with suppress(FieldError):
                column.parse(cell)


@given(st.integers(0, 10**12 - 1))
def test_numbers_that_lost_their_zeros_are_the_same_product(number: int) -> None:
    digits = f"{number:013}"
    whole = digits + str(check_digit(digits))
    assert gtin(int(whole)) == gtin(float(int(whole))) == gtin(whole) == whole


@given(DAYS)
def test_a_day_is_the_same_however_it_is_written(date: object) -> None:
    text = str(date)
    year, month, dom = text.split("-")
    for form in (text, text.replace("-", "/"), f"{year}年{int(month)}月{int(dom)}日", f" {year}.{month}.{dom} "):
        assert day(form) == text
