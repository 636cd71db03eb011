"""A sender that repeats for ever what nobody answers must not fill the disk."""

from conftest import TestDatabase
from ingest_parts import SITE, now_ms, query, register, scan

from contracts.messages import pack
from contracts.topics import Kind, event_topic
from ingest.landing.decode import decode
from ingest.landing.floods import KEPT_AN_HOUR
from ingest.landing.store import Outcome
from ingest.landing.writer import Writer

DEVICE = "station-1"
TOPIC = event_topic(SITE, DEVICE, Kind.SCAN)
HOUR_MS = 3_600_000


def write(database: TestDatabase, *messages: tuple[str, bytes], at: int | None = None) -> Outcome:
    writer = Writer(database.ingest_dsn, "test")
    outcome = writer.write([decode(topic, payload, at or now_ms()) for topic, payload in messages])
    writer.close()
    return outcome


def kept(database: TestDatabase) -> list[tuple[int, int]]:
    return query(database.owner_dsn, "SELECT count(*), sum(repeats)::int FROM landing.dead_letter")


def test_the_same_nonsense_is_kept_once_and_counted(database: TestDatabase) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    write(database, *[(TOPIC, b"nonsense")] * 500)
    outcome = write(database, *[(TOPIC, b"nonsense")] * 500)
    assert kept(database) == [(1, 999)]
    assert (len(outcome.letters), outcome.repeats) == (0, 500)


def test_varied_nonsense_under_varied_topics_has_room_for_so_many_an_hour(database: TestDatabase) -> None:
    root = TOPIC.rpartition("/")[0]
    now = now_ms()
    for turn in range(3):
        write(database, *[(f"{root}/{turn}-{number}", b"%d %d" % (turn, number)) for number in range(80)], at=now)
    assert kept(database) == [(KEPT_AN_HOUR, 240 - KEPT_AN_HOUR)]
    write(database, ("v1/dc-west/p1/other/scan", b"another sender"), (f"{root}/scan", b"later"), at=now)
    assert kept(database) == [(KEPT_AN_HOUR + 1, 241 - KEPT_AN_HOUR)]
    write(database, (f"{root}/scan", b"later"), at=now + HOUR_MS + 1)
    assert kept(database) == [(KEPT_AN_HOUR + 2, 241 - KEPT_AN_HOUR)]


def test_an_unregistered_device_that_draws_new_boots_is_held_back_and_heard_once_registered(
    database: TestDatabase,
) -> None:
    payloads = [pack(f"{number:032x}", 1, now_ms(), [scan(f"{number}")]) for number in range(KEPT_AN_HOUR + 50)]
    write(database, *[(TOPIC, payload) for payload in payloads])
    assert kept(database) == [(KEPT_AN_HOUR, 50)]
    register(database.owner_dsn, {DEVICE: SITE})
    assert write(database, *[(TOPIC, payload) for payload in payloads]).committed == len(payloads)


def test_what_a_device_is_told_of_is_always_kept(database: TestDatabase) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    write(database, *[(TOPIC, pack("ab" * 16, seq, now_ms(), [b"{}"])) for seq in range(1, KEPT_AN_HOUR + 51)])
    assert kept(database) == [(KEPT_AN_HOUR + 50, 0)]
