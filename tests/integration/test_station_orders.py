"""A station with a manifest: verdicts, countdown, stops, releases, packages, the hub, and what outlives a restart."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from station_bench import BEER, KEY, NOW, WINE, Bench, case, group, hashed, item, manifest, sscc

from contracts import documents, worksheet
from contracts import manifest as wire
from contracts.errors import CodeError
from contracts.gs1 import item_key
from contracts.manifest import Standing
from contracts.messages import Activity
from contracts.stations import NoteKind
from edge.manifest import ManifestStore
from edge.outbox import Outbox
from edge.station.verdict import Verdict


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db") as outbox:
        yield outbox


@pytest.fixture
def bench(tmp_path: Path, outbox: Outbox) -> Bench:
    return Bench(tmp_path, outbox)


class TestVerdicts:
    def test_each_good_case_counts_its_line_down_and_a_full_load_closes(self, bench: Bench) -> None:
        bench.begin()
        assert bench.left() == [12, 6]
        assert bench.read(case(1)) is Verdict.OK
        assert bench.left() == [6, 6]
        assert bench.read(case(2), case(11)) is Verdict.OK
        assert bench.left() == [0, 0]
        assert bench.read(worksheet.end()) is Verdict.ORDER
        assert bench.why[0] == "closed"
        [closed] = bench.notes(NoteKind.LOAD_CLOSED)
        assert (closed.order, closed.brand, closed.detail["agrees"]) == ("SO-1", "acme", True)
        assert [(scan.code, scan.activity, scan.to) for scan in bench.scans()] == [
            (case(number), Activity.SHIP, "D-1") for number in (1, 2, 11)
        ]
        assert bench.read(worksheet.begin(Activity.SHIP, "SO-1", "D-1")) is Verdict.UNKNOWN, "it was closed here"

    @pytest.mark.parametrize(
        ("text", "verdict", "why"),
        [
            (case(11), Verdict.NOT_IN_ORDER, ("product_not_ordered", BEER)),
            (case(20), Verdict.ALREADY_SHIPPED, ("has_left", "SO-0 → D-9")),
            (item(121), Verdict.ALREADY_SHIPPED, ("has_left", "SO-0 → D-9")),
            (case(8), Verdict.BLOCKED, ("blocked", "recalled")),
            (item(49), Verdict.BLOCKED, ("blocked", "recalled")),
            (case(77), Verdict.UNKNOWN, ("not_on_hand", "")),
            (item(77_777), Verdict.UNKNOWN, ("not_on_hand", "")),
            (item(7), Verdict.WRONG_ITEM, ("inside_parent", "")),
            (case(30), Verdict.WRONG_ITEM, ("not_received", "SO-7 → D-1")),
            (f"https://id.example.com/01/{WINE}", Verdict.WRONG_ITEM, ("no_serial", "")),
        ],
    )
    def test_what_is_wrong_is_not_shipped_and_stops_the_station(
        self, bench: Bench, text: str, verdict: Verdict, why: tuple[str, str]
    ) -> None:
        bench.begin(order="SO-2", to="D-2")
        assert bench.read(text) is verdict
        assert bench.why == why
        [seen] = bench.scans()
        assert (seen.code, seen.activity, seen.reference, seen.to) == (text, Activity.OBSERVE, "SO-2", "")
        assert bench.left() == [30]
        assert bench.read(case(1)) is Verdict.STOPPED
        assert bench.read(worksheet.end()) is Verdict.STOPPED
        assert len(bench.scans()) == 1, "while it stands still nothing is kept"
        bench.release()
        assert bench.read(case(1)) is Verdict.OK
        [stopped], [released] = bench.notes(NoteKind.STOPPED), bench.notes(NoteKind.RELEASED)
        assert stopped.detail["verdict"] == verdict
        assert (released.detail["by"], released.detail["reason"]) == ("LI", "checked by hand")
        assert "483920" not in json.dumps(bench.outbox.notes())

    def test_an_item_where_cases_are_due_and_one_too_many(self, bench: Bench) -> None:
        bench.begin()
        assert bench.read(item(999, BEER)) is Verdict.OK, "this line counts single items"
        assert bench.read(case(11)) is Verdict.OVER_QUANTITY
        assert bench.why == ("line_full", BEER)

    def test_an_item_of_a_case_that_is_on_the_load_is_a_duplicate(self, bench: Bench) -> None:
        bench.begin()
        bench.read(case(1))
        for text in (case(1), item(8)):
            assert bench.read(text) is Verdict.DUPLICATE
        assert len(bench.scans()) == 1
        assert bench.left() == [6, 6]

    def test_offline_and_with_an_expired_manifest_it_is_provisional(self, tmp_path: Path, outbox: Outbox) -> None:
        bench = Bench(tmp_path, outbox, online=False)
        bench.begin()
        assert bench.read(case(1)) is Verdict.PROVISIONAL
        bench.now += 3_600_000
        assert bench.read(case(2)) is Verdict.PROVISIONAL
        assert bench.why[0] == "manifest_expired"
        assert bench.read(case(20)) is Verdict.ALREADY_SHIPPED, "what it knew to be wrong stays wrong"

    def test_an_advising_station_says_the_same_and_ships_all_the_same(self, tmp_path: Path, outbox: Outbox) -> None:
        bench = Bench(tmp_path, outbox, enforce=False)
        bench.begin()
        assert bench.read(case(77)) is Verdict.UNKNOWN
        assert bench.read(case(1)) is Verdict.OK
        assert [scan.activity for scan in bench.scans()] == [Activity.SHIP, Activity.SHIP]
        assert bench.read(worksheet.end()) is Verdict.ORDER
        assert bench.notes(NoteKind.LOAD_CLOSED) == []

    def test_a_worksheet_for_another_dealer_begins_nothing(self, bench: Bench) -> None:
        assert bench.read(worksheet.begin(Activity.SHIP, "SO-1", "D-2")) is Verdict.UNKNOWN
        assert bench.station.order.reference == ""


class TestWork:
    def test_a_load_that_differs_needs_a_supervisor_and_a_reason(self, bench: Bench) -> None:
        bench.begin()
        bench.read(case(1))
        assert bench.read(worksheet.end()) is Verdict.DIFFERENCE
        assert bench.station.order.reference == "SO-1"
        for pin, reason in (("111222", "x"), ("483920", " ")):
            with pytest.raises(CodeError):
                bench.station.act(
                    lambda desk, order, pin=pin, reason=reason: desk.sign(order, order, ("LI", pin, reason)),  # type: ignore[misc]
                    threading.Event(),
                )
        bench.sign()
        [closed] = bench.notes(NoteKind.LOAD_CLOSED)
        assert (closed.detail["agrees"], closed.detail["signed_by"], closed.detail["reason"]) == (
            False, "LI", "truck is full",
        )  # fmt: skip
        assert [line["scanned"] for line in closed.detail["lines"]] == [6, 0]
        assert bench.station.order == bench.station.idle

    def test_wrong_pins_make_it_wait(self, bench: Bench) -> None:
        bench.begin()
        bench.read(case(8))
        for _ in range(5):
            with pytest.raises(CodeError, match="wrong"):
                bench.release("000001")
        with pytest.raises(CodeError, match="too many"):
            bench.release()
        bench.now += 61_000
        bench.release()
        assert bench.read(case(1)) is Verdict.OK

    def test_the_last_scan_is_taken_back(self, bench: Bench) -> None:
        bench.begin()
        bench.read(case(1))
        bench.read(case(2))
        assert bench.read("CF/UNDO") is Verdict.ORDER
        assert bench.left() == [6, 6]
        assert [note.unit for note in bench.notes(NoteKind.UNDONE)] == [sscc(2)]
        assert bench.read(case(2)) is Verdict.OK

    def test_a_unit_of_another_load_has_left_before_the_manifest_knows_it_and_is_forgotten_after(
        self, bench: Bench
    ) -> None:
        bench.begin()
        bench.read(case(1))
        bench.read("CF/PAUSE")
        bench.begin(order="SO-2", to="D-2")
        assert bench.read(case(1)) is Verdict.ALREADY_SHIPPED
        assert bench.why == ("has_left", "SO-1")
        bench.release()
        bench.read("CF/PAUSE")
        bench.begin()
        bench.sign()
        bench.station.between()
        assert list(bench.outbox.notes("load/")) == [f"load/SO-1/{sscc(1)}"]
        gone = [*wire.groups_of(manifest(), wire.read_head(manifest()))]
        gone = [each for each in gone if each.container != hashed(sscc(1))] + [group(1, 0, Standing.SHIPPED, 0)]
        bench.manifests.offer(wire.write(wire.read_head(manifest(2)), gone, KEY))
        bench.station.between()
        assert bench.outbox.notes("load/") == {}

    def test_all_of_it_outlives_a_restart(self, tmp_path: Path, outbox: Outbox) -> None:
        first = Bench(tmp_path, outbox)
        first.read("CF/OPERATOR/OP-7/NIGHT")
        first.begin()
        first.read(case(1))
        first.read(case(20))
        second = Bench(tmp_path, outbox)
        assert second.read(case(2)) is Verdict.STOPPED
        second.release()
        assert second.left() == [6, 6]
        assert second.read(case(1)) is Verdict.DUPLICATE
        assert second.read(case(2)) is Verdict.OK
        assert second.scans()[-1].operator == "OP-7"
        assert second.notes(NoteKind.RELEASED)[0].shift == "NIGHT"

    def test_a_case_closes_at_its_size_and_tells_of_its_items_only_then(self, bench: Bench) -> None:
        bench.begin(Activity.PACK, "RUN-1", "")
        bench.read("CF/CASE")
        for number in range(500, 505):
            assert bench.read(item(number)) is Verdict.OK
        assert bench.read(item(504)) is Verdict.DUPLICATE
        assert bench.read(item(1, BEER)) is Verdict.WRONG_ITEM
        assert bench.read(case(60)) is Verdict.OK
        assert bench.scans() == []
        assert bench.read(item(505)) is Verdict.OK
        assert bench.why[0] == "package_closed"
        assert [(scan.code, scan.parent, scan.activity) for scan in bench.scans()] == [
            (item(number), case(60), Activity.PACK) for number in range(500, 506)
        ]
        assert [note.unit for note in bench.notes(NoteKind.PACKAGE_CLOSED)] == [sscc(60)]

    def test_a_pallet_of_cases_and_one_that_is_given_up(self, bench: Bench) -> None:
        bench.begin(Activity.PACK, "RUN-1", "")
        bench.read("CF/PALLET/2")
        bench.read(case(90))
        bench.read(case(1))
        assert bench.read("CF/ABORT") is Verdict.ORDER
        assert bench.scans() == []
        for number in (91, 1, 2):
            assert bench.read(case(number)) is Verdict.OK
        assert [scan.parent for scan in bench.scans()] == [case(91), case(91)]

    def test_a_scrapped_label_is_told(self, bench: Bench) -> None:
        bench.read("CF/SCRAP")
        assert bench.read(item(1)) is Verdict.OK
        assert [note.unit for note in bench.notes(NoteKind.SCRAPPED)] == [item_key(WINE, f"S{1:019d}")]
        assert bench.scans()[0].activity is Activity.OBSERVE
        bench.read(item(2))
        assert len(bench.notes(NoteKind.SCRAPPED)) == 1, "one command, one label"


class TestReceiving:
    def test_goods_are_held_against_what_was_announced(self, bench: Bench) -> None:
        code = documents.DocumentCode("SO-7", 1, 2, 12, bytes(32))
        text, _ = documents.sign(code, KEY)
        assert bench.read(text) is Verdict.ORDER
        assert bench.station.order.reference == "SO-7"
        bench.read("CF/DAMAGED")
        assert bench.read(case(30)) is Verdict.OK
        assert bench.read(case(9)) is Verdict.NOT_IN_ORDER
        assert bench.read(case(30)) is Verdict.DUPLICATE
        assert bench.read(worksheet.end()) is Verdict.ORDER
        assert bench.why == ("received_differs", "1 / 1 / 1")
        [told] = bench.notes(NoteKind.RECEIVED)
        assert (told.detail["missing"], told.detail["extra"], told.detail["damaged"]) == (1, [sscc(9)], [sscc(30)])
        assert told.detail["document"] == text
        assert [scan.activity for scan in bench.scans()] == [Activity.RECEIVE, Activity.RECEIVE]

    def test_a_forged_document_begins_nothing(self, bench: Bench) -> None:
        text, _ = documents.sign(documents.DocumentCode("SO-7", 1, 2, 12, bytes(32)), KEY)
        assert bench.read(text.replace("/2/12/", "/3/18/")) is Verdict.UNKNOWN
        assert bench.station.order == bench.station.idle


class TestManifestStore:
    def test_the_altered_the_expired_the_older_and_the_foreign_are_refused(self, bench: Bench, tmp_path: Path) -> None:
        store = bench.manifests
        altered = bytearray(manifest(2))
        altered[200] ^= 1
        stranger = Ed25519PrivateKey.generate()
        head = wire.verify(manifest(2), KEY.public_key())
        refused = {
            "MANIFEST_SIGNATURE": [bytes(altered), wire.write(head, [], stranger)],
            "MANIFEST_EXPIRED": [manifest(2, expires_at=NOW)],
            "MANIFEST_FOREIGN": [manifest(2, site="elsewhere"), wire.write_delta(manifest(5), manifest(6))],
            "MANIFEST_INVALID": [b"", b"CFM1", b"hello"],
        }
        for code, wrong in refused.items():
            for data in wrong:
                with pytest.raises(wire.ManifestError) as caught:
                    store.offer(data)
                assert caught.value.code == code
        store.offer(manifest(3))
        with pytest.raises(wire.OlderError):
            store.offer(manifest(2))
        (tmp_path / "manifest.bin").write_bytes(manifest(2))
        again = ManifestStore(tmp_path, "dc", KEY.public_key(), lambda: NOW)
        found = again.load()
        assert isinstance(found, wire.OlderError), "a file that was exchanged while nobody looked"
        assert again.current is None

    @pytest.mark.parametrize("damage", [b"", b"\0\0", b"-1", "٣".encode(), None])
    def test_without_the_version_that_was_used_last_none_is_trusted(
        self, bench: Bench, tmp_path: Path, damage: bytes | None
    ) -> None:
        bench.manifests.offer(manifest(3))
        file = tmp_path / "manifest.version"
        file.unlink()
        if damage is None:
            file.mkdir()
        else:
            file.write_bytes(damage)
        with pytest.raises(wire.VersionLostError, match=r"manifest\.version") as caught:
            bench.manifests.offer(manifest(2))
        assert "delete this file" in caught.value.advice
        assert bench.manifests.version == 3, "the one that is known to be newer goes on"
        again = ManifestStore(tmp_path, "dc", KEY.public_key(), lambda: NOW)
        assert isinstance(again.load(), wire.VersionLostError)
        assert again.current is None

    def test_a_file_put_there_by_hand_is_taken_up_while_it_runs(self, bench: Bench, tmp_path: Path) -> None:
        bench.manifests.reload()
        (tmp_path / "manifest.bin").write_bytes(manifest(4))
        bench.manifests.reload()
        assert bench.manifests.version == 4
        (tmp_path / "manifest.bin").write_bytes(manifest(3))
        bench.manifests.reload()
        assert bench.manifests.version == 4, "the older one is refused, the newer one goes on"

    def test_a_delta_carries_only_what_changed(self, bench: Bench) -> None:
        more = [*wire.groups_of(manifest(), wire.read_head(manifest()))[1:], group(50)]
        fresh = wire.write(wire.read_head(manifest(2)), more, KEY)
        delta = wire.write_delta(manifest(), fresh)
        assert len(delta) < len(fresh)
        bench.manifests.offer(delta)
        current = bench.manifests.current
        assert current is not None
        assert current.find(sscc(50)) is not None
