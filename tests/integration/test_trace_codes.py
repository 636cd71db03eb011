import itertools
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from trace_market import HOST, KEYS, Market

from contracts.errors import ConfigurationError
from contracts.gs1 import label_uri
from contracts.tc20 import ALPHABET, Tc20
from trace_service.codes.issue import IssuedBatch, issue_batch
from trace_service.codes.verify import Text, read_parent, verify
from trace_service.domain.verification import CodeState
from trace_service.store.connection import connect

GTIN = "09506000134352"


def test_batches_issued_at_the_same_time_never_share_a_counter(market: Market) -> None:
    def issue(number: int) -> IssuedBatch:
        with connect(market.database.trace_dsn, "issuer") as connection, connection.transaction():
            return issue_batch(connection, KEYS, GTIN, 50 + number, f"L{number}")

    with ThreadPoolExecutor(8) as pool:
        batches = sorted(pool.map(issue, range(16)), key=lambda batch: batch.first)
    serials = [serial for batch in batches for serial in batch.serials]
    assert len(serials) == len(set(serials)) == sum(50 + number for number in range(16))
    for earlier, later in itertools.pairwise(batches):
        assert earlier.first + len(earlier.serials) == later.first
    overlaps = "SELECT count(*) FROM trace.batch a JOIN trace.batch b ON a.gtin = b.gtin AND a.id < b.id"
    assert market.rows(overlaps + " WHERE a.counters && b.counters") == [(0,)]


def test_an_issued_code_is_genuine_and_one_changed_character_makes_it_unknown(market: Market) -> None:
    with market.connection.transaction():
        serial = issue_batch(market.connection, KEYS, GTIN, 3, "L").serials[1]
    changed = {
        serial[:place] + letter + serial[place + 1 :]
        for place in range(len(serial))
        for letter in ALPHABET
        if letter != serial[place]
    }
    texts = {each: Text(label_uri(HOST, GTIN, each), "") for each in (serial, *changed)}
    found = verify(market.connection, KEYS, texts.values())
    assert found[texts[serial]].state is CodeState.GENUINE
    assert found[texts[serial]].brand == "qingyuan"
    assert {found[texts[each]].state for each in changed} == {CodeState.UNKNOWN}


def test_a_code_of_another_product_of_the_brand_is_unknown(market: Market) -> None:
    item = next(case for case in market.job["cases"] if case["gtin"] == GTIN)["items"][0]
    swapped = Text(item.replace(GTIN, "09506000134369"), "")
    assert verify(market.connection, KEYS, [swapped])[swapped].state is CodeState.UNKNOWN


def test_goods_that_custody_knew_before_their_key_was_killed_stay_genuine_with_a_remark(market: Market) -> None:
    known, unseen = market.cases_to("D-CHENGDU")[:2]
    market.land(*market.pack(known), market.ship(known, "D-CHENGDU"))
    market.drain()
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.master_key SET state = 'killed'")
    market.land(market.consumer(known["items"][0], "nanjing"), market.consumer(unseen["items"][0], "nanjing"))
    market.drain()
    found = market.rows(
        'SELECT code_state, place, reasons @> \'[{"code": "reduced_assurance"}]\' FROM trace.verdict'
        " WHERE activity = 'consumer' ORDER BY seq"
    )
    assert found == [("genuine", "outside", True), ("unknown", "not_checked", False)]


def test_a_training_label_is_never_goods(market: Market) -> None:
    wrapped = KEYS.fresh()
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("INSERT INTO trace.master_key (brand, epoch, wrapped) VALUES ('qingyuan', 0, %s)", (wrapped,))
        owner.execute(
            "INSERT INTO trace.batch (brand, gtin, epoch, counters, lot, produced_on, commissioned_at)"
            " VALUES ('qingyuan', %s, 0, '[900000,900010)', 'T', current_date, now())",
            (GTIN,),
        )
    serial = Tc20(KEYS.unwrap(wrapped), "qingyuan", 0).issue(GTIN, 900_001)
    text = Text(label_uri(HOST, GTIN, serial), "")
    assert verify(market.connection, KEYS, [text])[text].state is CodeState.UNKNOWN


def test_all_codes_of_a_killed_epoch_are_refused_and_no_more_are_issued(market: Market) -> None:
    text = Text(market.job["cases"][0]["items"][0], "")
    assert verify(market.connection, KEYS, [text])[text].state is CodeState.GENUINE
    with psycopg.connect(market.database.owner_dsn) as owner:
        owner.execute("UPDATE trace.master_key SET state = 'killed'")
    assert verify(market.connection, KEYS, [text])[text].state is CodeState.UNKNOWN
    with pytest.raises(ConfigurationError, match="no active code key"), market.connection.transaction():
        issue_batch(market.connection, KEYS, GTIN, 1, "L")


def test_codes_of_a_product_that_nobody_registered_are_not_issued(market: Market) -> None:
    with pytest.raises(ConfigurationError, match="no product"), market.connection.transaction():
        issue_batch(market.connection, KEYS, "04012345000009", 1, "L")


def test_masters_are_stored_wrapped_only(market: Market) -> None:
    ((wrapped,),) = market.rows("SELECT wrapped FROM trace.master_key")
    master = KEYS.unwrap(wrapped)
    assert len(master) == 32
    assert master not in wrapped


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("HTTPS://ID.CODEFENCE.EXAMPLE/00/095060000000000015", "/00/095060000000000015"),
        ("(00)095060000000000015", "/00/095060000000000015"),
        ("00095060000000000015", "/00/095060000000000015"),
        ("(01)09506000134352", None),
        ("", None),
        ("pallet 7", None),
    ],
)
def test_a_parents_label_is_read_in_any_of_its_forms(text: str, unit: str | None) -> None:
    assert read_parent(text) == unit
