"""The commands that show what could not be stored and put it through again."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from conftest import TestDatabase
from ingest_parts import SITE, now_ms, query, register, scan

from contracts.messages import pack
from contracts.topics import Kind, event_topic
from ingest.cli.group import ingest
from ingest.landing.decode import decode
from ingest.landing.writer import Writer

DAY_MS = 86_400_000
DEVICE = "station-1"
BOOT = "ab" * 16
TOPIC = event_topic(SITE, DEVICE, Kind.SCAN)


def write(database: TestDatabase, payload: bytes, topic: str = TOPIC) -> None:
    writer = Writer(database.ingest_dsn, "test")
    writer.write([decode(topic, payload, now_ms())])
    writer.close()


def command(database: TestDatabase, *arguments: str) -> Result:
    env = {"INGEST_DATABASE_URL": database.ingest_dsn, "INGEST_BROKER_PASSWORD": "unused"}
    return CliRunner().invoke(ingest, ["dead-letters", *arguments], env=env)


@pytest.fixture
def letter(database: TestDatabase) -> int:
    """A good event, and one with a misspelt field, of which the number is returned."""
    register(database.owner_dsn, {DEVICE: SITE})
    bad = scan("lost").replace(b'"code"', b'"cdoe"')
    write(database, pack(BOOT, 1, now_ms(), [scan("kept"), bad]))
    ((number,),) = query(database.owner_dsn, "SELECT id FROM landing.dead_letter")
    return int(number)


def codes(database: TestDatabase) -> list[tuple[int, str]]:
    return [(seq, code) for seq, code in query(database.owner_dsn, "SELECT seq, code FROM landing.scan ORDER BY seq")]


def test_a_letter_is_listed_shown_mended_and_stored_once(database: TestDatabase, letter: int, tmp_path: Path) -> None:
    (line,) = command(database, "list", "--json").stdout.splitlines()
    listed = json.loads(line)
    assert (listed["id"], listed["device"], listed["first_seq"], listed["reason"]) == (
        letter,
        DEVICE,
        2,
        "MESSAGE_INVALID",
    )
    body = json.loads(command(database, "show", str(letter), "--json").stdout)["body"]
    mended = tmp_path / "mended.json"
    mended.write_text(body.replace("cdoe", "code"), encoding="utf-8")
    done = command(database, "replay", str(letter), "--mended", str(mended), "--json")
    assert json.loads(done.stdout) == {"committed": 1, "duplicates": 0, "refused": 0}
    assert codes(database) == [(1, "kept"), (2, "lost")]
    assert query(database.owner_dsn, "SELECT seq FROM landing.queued ORDER BY seq") == [(1,), (2,)]
    assert command(database, "list").stdout == "no dead letters\n"
    again = command(database, "replay", str(letter), "--mended", str(mended))
    assert again.exit_code == 1
    assert "replayed before" in again.stderr
    assert codes(database) == [(1, "kept"), (2, "lost")]


def test_what_is_still_bad_stays_a_letter_and_changes_nothing(database: TestDatabase, letter: int) -> None:
    refused = command(database, "replay", str(letter))
    assert refused.exit_code == 1
    assert "REPLAY_REFUSED" in refused.stderr
    assert "missing required field" in refused.stderr
    assert codes(database) == [(1, "kept")]
    assert query(database.owner_dsn, "SELECT count(*), count(replayed_at) FROM landing.dead_letter") == [(1, 0)]


def test_a_mended_body_may_not_invent_events(database: TestDatabase, letter: int, tmp_path: Path) -> None:
    mended = tmp_path / "mended.json"
    mended.write_bytes(b"[" + scan("one") + b"," + scan("two") + b"]")
    refused = command(database, "replay", str(letter), "--mended", str(mended))
    assert refused.exit_code == 1
    assert "2 events cannot replace those numbered 2 to 2" in refused.stderr


def test_an_original_goes_through_once_its_device_is_registered(database: TestDatabase) -> None:
    write(database, pack(BOOT, 1, now_ms(), [scan("early bird")]))
    assert command(database, "replay", "1").exit_code == 1
    register(database.owner_dsn, {DEVICE: SITE})
    assert command(database, "replay", "1").stdout == "1 event stored, 0 stored before\n"
    assert codes(database) == [(1, "early bird")]


def test_a_wrong_topic_is_mended_too(database: TestDatabase) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    write(database, pack(BOOT, 1, now_ms(), [scan("astray")]), event_topic("dc-west", DEVICE, Kind.SCAN))
    assert command(database, "replay", "1", "--topic", TOPIC).exit_code == 0
    assert codes(database) == [(1, "astray")]


def test_an_event_is_judged_by_the_time_it_first_arrived(database: TestDatabase, letter: int) -> None:
    del letter
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("ALTER TABLE landing.scan ADD CONSTRAINT picky CHECK (code <> 'stuck')")
    write(database, pack(BOOT, 3, now_ms(), [scan("stuck")]))
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("ALTER TABLE landing.scan DROP CONSTRAINT picky")
    ((number, sqlstate),) = query(
        database.owner_dsn, "SELECT id, sqlstate FROM landing.dead_letter WHERE first_seq = 3"
    )
    assert sqlstate == "23514"
    assert command(database, "replay", str(number)).exit_code == 0
    assert codes(database) == [(1, "kept"), (3, "stuck")]


def write_at(database: TestDatabase, seq: int, code: str, clock: int) -> None:
    """Store a scan captured now by a server whose clock says something else."""
    writer = Writer(database.ingest_dsn, "test")
    writer.write([decode(TOPIC, pack(BOOT, seq, now_ms(), [scan(code)]), clock)])
    writer.close()


@pytest.mark.parametrize(("days", "given"), [(-3, "3d"), (40, "-40d")], ids=["behind", "ahead"])
def test_what_a_wrong_server_clock_refused_is_stored_when_one_says_how_wrong_it_was(
    database: TestDatabase, days: int, given: str
) -> None:
    register(database.owner_dsn, {DEVICE: SITE})
    for seq in (1, 2, 3):
        write_at(database, seq, f"true {seq}", now_ms() + days * DAY_MS)
    write(database, b"no header")
    letters = [str(number) for (number,) in query(database.owner_dsn, "SELECT id FROM landing.dead_letter ORDER BY id")]
    assert "TIME_OUT_OF_RANGE" in command(database, "replay", letters[0]).stderr
    done = command(database, "replay", *letters, f"--clock-behind={given}", "--json")
    assert json.loads(done.stdout) == {"committed": 3, "duplicates": 0, "refused": 1}
    assert done.exit_code == 1
    assert f"{letters[-1]}: [REPLAY_REFUSED]" in done.stderr
    assert codes(database) == [(seq, f"true {seq}") for seq in (1, 2, 3)]
    ((received,),) = query(database.owner_dsn, "SELECT max(received_at) FROM landing.scan")
    assert abs(received.timestamp() * 1000 - now_ms()) < 60_000, "the time of arrival is mended, too"


@pytest.mark.parametrize("wrong", ["3", "3w", "", "-", "1.5h"])
def test_a_time_span_that_is_none_is_a_usage_error(database: TestDatabase, wrong: str) -> None:
    answer = command(database, "replay", "1", f"--clock-behind={wrong}")
    assert answer.exit_code == 2
    assert "no time span such as 90s" in answer.stderr


def test_a_closed_letter_leaves_the_list_with_its_reason_and_can_still_be_replayed(
    database: TestDatabase, letter: int, tmp_path: Path
) -> None:
    assert command(database, "close", str(letter), "--why", " ").exit_code == 2
    assert command(database, "close", str(letter), "--why", "a test").stdout == "1 dead letters closed\n"
    assert command(database, "list").stdout == "no dead letters\n"
    assert "closed: a test" in command(database, "list", "--all").stdout
    again = command(database, "close", str(letter), "99", "--why", "again")
    assert (again.exit_code, "DEAD_LETTER_SETTLED" in again.stderr) == (1, True)
    mended = tmp_path / "mended.json"
    mended.write_bytes(b"[" + scan("after all") + b"]")
    assert command(database, "replay", str(letter), "--mended", str(mended)).exit_code == 0
    assert codes(database) == [(1, "kept"), (2, "after all")]


def test_a_payload_cannot_steer_the_terminal(database: TestDatabase) -> None:
    write(database, b"\x1b[2Jgone\x07")
    shown = command(database, "show", "1").stdout
    assert "<1B>[2Jgone<07>" in shown
    assert "\x1b" not in shown


def test_a_missing_letter_and_a_missing_setting_are_told_apart(database: TestDatabase) -> None:
    missing = command(database, "show", "99")
    assert (missing.exit_code, "DEAD_LETTER_MISSING" in missing.stderr) == (1, True)
    unset = CliRunner().invoke(ingest, ["run"], env={"INGEST_DATABASE_URL": None, "INGEST_BROKER_PASSWORD": None})
    assert unset.exit_code == 2
    assert "INGEST_DATABASE_URL: Field required" in unset.stderr
