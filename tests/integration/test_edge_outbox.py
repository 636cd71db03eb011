import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner
from edge_parts import keep, scan_draft
from waiting import wait_for

from contracts.errors import OutboxError, OutboxFullError
from contracts.messages import MAX_SEQ, Ack, Refusal, Resend, Status, decode_event
from contracts.topics import Kind
from edge.cli import edge
from edge.outbox import Draft, Outbox
from edge.outbox.inspection import inspect

DAY_MS = 24 * 3600 * 1000


def reading(units: int, channel: int = 1) -> Draft:
    return Draft(Kind.STOCK, b'{"units":%d}' % units, units, slot=f"channel/{channel}")


def numbers(outbox: Outbox) -> list[int]:
    return [row.seq for row in outbox.take(1000)]


def test_an_event_comes_out_byte_for_byte_as_it_went_in(tmp_path: Path) -> None:
    draft = scan_draft("HTTPS://ID.EXAMPLE.COM/01/06901234567892/21/é\x1d")
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.add([draft]) == [True]
        [row] = outbox.take(10)
        assert (row.seq, row.kind, row.body, row.boot) == (1, Kind.SCAN, draft.body, outbox.boot)


def test_acknowledged_ranges_leave_and_holes_stay(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        keep(outbox, *map(str, range(1, 21)))
        settled = outbox.settle(Ack(boot=outbox.boot, committed=((1, 3), (7, 7), (12, 15))))
        assert (len(settled.ids), settled.refused) == (8, 0)
        assert numbers(outbox) == [4, 5, 6, 8, 9, 10, 11, 16, 17, 18, 19, 20]
        assert outbox.depth == 12
        assert outbox.settle(Ack(boot=outbox.boot, committed=((1, 3),))).ids == ()
        assert outbox.depth == 12


@pytest.mark.parametrize("span", [(5, 1), (0, 3), (-9, 3), (1, MAX_SEQ + 1), (1, 2**80)])
def test_a_senseless_acknowledgement_settles_nothing(tmp_path: Path, span: tuple[int, int]) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        keep(outbox, "a", "b", "c")
        assert outbox.settle(Ack(boot=outbox.boot, committed=(span,))).ids == ()
        assert outbox.settle(Ack(boot="0" * 32, committed=((1, 3),))).ids == ()
        assert outbox.depth == 3


def test_a_refused_event_stays_as_a_tombstone_that_the_command_shows(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        keep(outbox, "good", "bad", "waiting")
        refused = (Refusal(2, 2, "TIME_OUT_OF_RANGE"),)
        assert outbox.settle(Ack(boot=outbox.boot, committed=((1, 1),), refused=refused)).refused == 1
        assert numbers(outbox) == [3]
        found = json.loads(CliRunner().invoke(edge, ["outbox", "--data", str(tmp_path), "--json"]).stdout)
        assert (found["waiting"], found["acknowledged"], found["refused"]) == (1, 1, 1)
        assert found["tombstones"][0]["reason"] == "TIME_OUT_OF_RANGE"
        assert json.loads(found["tombstones"][0]["body"])["code"] == "bad"
        table = CliRunner().invoke(edge, ["outbox", "--data", str(tmp_path)]).stdout
        assert "TIME_OUT_OF_RANGE" in table


def test_every_start_numbers_anew_and_older_events_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    with Outbox(path) as outbox:
        keep(outbox, "one", "two")
        first = outbox.boot
    shutil.copy(path, tmp_path / "copy.db")
    with Outbox(path) as outbox, Outbox(tmp_path / "copy.db") as copy:
        keep(outbox, "three")
        keep(copy, "other three")
        rows = outbox.take(10)
        assert [(row.boot, row.seq) for row in rows] == [(first, 1), (first, 2), (outbox.boot, 1)]
        assert len({first, outbox.boot, copy.boot}) == 3
        assert len(outbox.settle(Ack(boot=first, committed=((1, 2),))).ids) == 2


def test_a_full_outbox_refuses_scans_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", limit=100) as outbox:
        keep(outbox, *map(str, range(99)))
        with pytest.raises(OutboxFullError) as refusal:
            keep(outbox, "both", "or none")
        assert refusal.value.advice
        assert outbox.depth == 99
        keep(outbox, "last")
        outbox.settle(Ack(boot=outbox.boot, committed=((1, 50),)))
        keep(outbox, "room again")
        assert numbers(outbox) == list(range(51, 102))


def test_readings_beyond_the_limit_coalesce_to_the_latest_of_each_channel(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", limit=100) as outbox:
        for units in range(500):
            outbox.add([reading(units, 1), reading(units, 2)])
        rows = outbox.take(1000)
        assert len(rows) == 100
        assert [row.seq for row in rows] == list(range(1, 101)), "coalescing leaves no gaps"
        assert [row.body for row in rows[-2:]] == [b'{"units":499}', b'{"units":499}']


def test_a_reading_that_was_sent_is_never_rewritten(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db", limit=100) as outbox:
        for units in range(100):
            outbox.add([reading(units)])
        sent = {row.seq: row.body for row in outbox.take(100)}
        for units in range(100, 150):
            outbox.add([reading(units)])
        after = {row.seq: row.body for row in outbox.take(200)}
        assert {seq: after[seq] for seq in sent} == sent
        assert after[101] == b'{"units":149}'


def test_the_same_capture_is_kept_once_also_after_a_restart(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.add([scan_draft("a", once="photo a"), scan_draft("b", once="photo b")]) == [True, True]
        outbox.settle(Ack(boot=outbox.boot, committed=((1, 2),)))
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.add([scan_draft("a", once="photo a"), scan_draft("c", once="photo c")]) == [False, True]
        assert outbox.depth == 1


def test_acknowledged_events_are_kept_for_seven_days_and_can_be_asked_for(tmp_path: Path) -> None:
    now = [1_000 * DAY_MS]
    path = tmp_path / "outbox.db"
    with Outbox(path, clock=lambda: now[0]) as outbox:
        keep(outbox, "a", "b", "c")
        boot = outbox.boot
        outbox.settle(Ack(boot=boot, committed=((1, 3),)))
    now[0] += 6 * DAY_MS
    with Outbox(path, clock=lambda: now[0]) as outbox:
        assert outbox.reopen(Resend(boot=boot, first=1, last=2)) == 0
        assert [(row.boot, row.seq) for row in outbox.take(9)] == [(boot, 1), (boot, 2)]
        outbox.settle(Ack(boot=boot, committed=((1, 2),)))
    now[0] += 7 * DAY_MS + 1
    with Outbox(path, clock=lambda: now[0]) as outbox:
        keep(outbox, "prunes")
        assert inspect(path).acknowledged == 0


def test_what_is_gone_for_good_is_answered_with_a_tombstone_in_its_place(tmp_path: Path) -> None:
    lost = "c" * 32
    with Outbox(tmp_path / "outbox.db") as outbox:
        assert outbox.reopen(Resend(boot=lost, first=5, last=9)) == 5
        [row] = outbox.take(9)
        assert (row.boot, row.seq, row.kind) == (lost, 5, Kind.STATUS)
        status = decode_event(Kind.STATUS, row.body)
        assert isinstance(status, Status)
        assert status.dropped == ((5, 9),)
        keep(outbox, "mine")
        assert outbox.reopen(Resend(boot=outbox.boot, first=1, last=50)) == 0, "not yet given out is not lost"


def test_two_agents_cannot_share_an_outbox(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db"), pytest.raises(OutboxError, match="another agent"):
        Outbox(tmp_path / "outbox.db")


def test_a_file_that_is_no_outbox_is_reported_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(OutboxError) as failure:
        Outbox(path)
    assert failure.value.advice
    assert path.read_bytes() == b"something else entirely" * 100
    path.unlink()
    Outbox(path).close()


def test_a_disk_that_fails_fails_the_scan_and_not_the_ones_before(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        keep(outbox, "kept")
        outbox._database.execute("PRAGMA max_page_count = 20")
        with pytest.raises(OutboxError):
            outbox.add([Draft(Kind.SCAN, b"x" * 500_000, 1)])
        outbox._database.execute("PRAGMA max_page_count = 10000")
        keep(outbox, "after")
        assert numbers(outbox) == [1, 2], "the number of the failed one is given out again"
        assert outbox.depth == 2


def test_a_burst_from_many_threads_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox.db") as outbox:
        threads = [
            threading.Thread(target=lambda name=name: [keep(outbox, f"{name}-{n}") for n in range(50)])  # type: ignore[misc]
            for name in range(20)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = Counter(json.loads(row.body)["code"] for row in outbox.take(2000))
        assert codes == Counter(f"{name}-{n}" for name in range(20) for n in range(50))
        assert sorted(numbers(outbox)) == list(range(1, 1001))


_BURST = """
import sys
from pathlib import Path
from edge_parts import keep
from edge.outbox import Outbox
outbox = Outbox(Path(sys.argv[1]))
for number in range(100_000):
    keep(outbox, str(number))
    print(number, flush=True)
"""


def test_sigkill_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    path, said = tmp_path / "outbox.db", tmp_path / "said"
    with said.open("w") as output:
        burst = subprocess.Popen(
            [sys.executable, "-c", _BURST, str(path)],
            stdout=output,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    wait_for(lambda: said.stat().st_size > 2000)
    burst.send_signal(signal.SIGKILL)
    burst.wait()
    confirmed = [line for line in said.read_text().split("\n")[:-1] if line]
    with Outbox(path) as outbox:
        kept = [json.loads(row.body)["code"] for row in outbox.take(100_000)]
    assert len(confirmed) > 300
    assert kept[: len(confirmed)] == confirmed
    assert len(kept) <= len(confirmed) + 1


def test_there_is_advice_where_there_is_no_outbox(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(edge, ["outbox", "--data", str(tmp_path)])
    assert outcome.exit_code == 1
    assert "OUTBOX_FAILED" in outcome.stderr
