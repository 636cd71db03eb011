"""A disk that is really full: a small one of its own is mounted below the test's folder."""

import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import TestBroker
from edge_parts import SITE, Application, drop_photo, keep, start_agent
from waiting import PATIENCE, wait_for

from cli.embedded.users import INGEST
from contracts.errors import OutboxError
from contracts.messages import Ack
from edge.outbox import Outbox
from edge.settings import AgentSettings
from edge.uplink import Uplink

DEVICE = "station-x"
StartBroker = Callable[[Mapping[str, str]], TestBroker]


class Disk:
    """A mounted folder that can be filled to the last byte and emptied again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        with (self.folder / "ballast").open("ab", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(512))

    def make_room(self) -> None:
        (self.folder / "ballast").unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def keep_until_refused(outbox: Outbox, kept: list[str]) -> OutboxError:
    """Keep scans until the disk is full; their codes are added to `kept`."""
    for number in range(1000):
        try:
            keep(outbox, f"last-{number}")
        except OutboxError as refusal:
            return refusal
        kept.append(f"last-{number}")
    raise AssertionError("the disk is not full")


def test_a_full_disk_refuses_what_is_new_and_gives_out_what_it_has(disk: Disk) -> None:
    with Outbox(disk.folder / "outbox.db") as outbox:
        keep(outbox, "before")
        disk.fill()
        assert "room" in keep_until_refused(outbox, []).advice
        disk.fill()  # the outbox has given back what its log took
        held = [row.seq for row in outbox.take(2000)]
        assert held == list(range(1, outbox.depth + 1))
        with pytest.raises(OutboxError):
            outbox.settle(Ack(boot=outbox.boot, committed=((1, 1000),)))
        assert outbox.depth == len(held), "nothing counts as acknowledged that is not noted on the disk"
        disk.make_room()
        keep(outbox, "after")
        assert [row.seq for row in outbox.take(2000)] == [*held, len(held) + 1]
        assert len(outbox.settle(Ack(boot=outbox.boot, committed=((1, 1000),))).ids) == len(held) + 1


def test_an_outbox_that_fills_a_small_disk_by_itself_notes_acknowledgements_and_goes_on(disk: Disk) -> None:
    kept: list[str] = []
    with Outbox(disk.folder / "outbox.db") as outbox:
        for number in range(100):  # two megabytes in all, half of what SQLite's log takes by itself
            try:
                keep(outbox, *[f"many-{number}-{each}" for each in range(200)])
            except OutboxError:
                break
            kept += [f"many-{number}-{each}" for each in range(200)]
        assert len(kept) > 5000, "the log does not take the room that events need"
        assert "room" in keep_until_refused(outbox, kept).advice
        assert outbox.depth == len(kept)
        for first in range(1, len(kept), 100):
            outbox.settle(Ack(boot=outbox.boot, committed=((first, first + 99),)))
        assert outbox.depth == 0, "there is always room to note what was acknowledged"
        for number in range(50):  # more than fits beside what was acknowledged, which is forgotten early
            keep(outbox, *[f"next-{number}-{each}" for each in range(100)])
            outbox.settle(Ack(boot=outbox.boot, committed=((1, 2**40),)))
        keep(outbox, "last")
        assert [row.seq for row in outbox.take(10)] == [len(kept) + 5001]
    with Outbox(disk.folder / "outbox.db") as outbox:
        assert outbox.depth == 1


def test_a_small_disk_that_others_fill_takes_events_again_when_they_make_room(disk: Disk) -> None:
    with Outbox(disk.folder / "outbox.db") as outbox:
        keep(outbox, *[f"before-{number}" for number in range(2000)])
        disk.fill()
        refusal = keep_until_refused(outbox, [])
        assert "room" in refusal.advice
        depth = outbox.depth
        disk.make_room()
        for number in range(10):
            keep(outbox, *[f"after-{number}-{each}" for each in range(200)])
        outbox.settle(Ack(boot=outbox.boot, committed=((1, 100),)))
        assert outbox.depth == depth + 2000 - 100


def test_a_start_on_a_full_disk_says_so_and_holds_nothing(disk: Disk) -> None:
    disk.fill()
    with pytest.raises(OutboxError) as refusal:
        Outbox(disk.folder / "outbox.db")
    assert refusal.value.advice
    disk.make_room()
    with Outbox(disk.folder / "outbox.db") as outbox:
        keep(outbox, "kept")
        disk.fill()
    for _ in range(3):
        # Whether there is room for a boot's name depends on the last page; either way the next start is free to try.
        with suppress(OutboxError):
            Outbox(disk.folder / "outbox.db").close()
    disk.make_room()
    with Outbox(disk.folder / "outbox.db") as outbox:
        assert outbox.depth == 1


def test_the_uplink_goes_on_over_a_full_disk_and_notes_the_acknowledgements_later(
    disk: Disk, start_broker: StartBroker
) -> None:
    broker = start_broker({DEVICE: SITE})
    settings = AgentSettings(
        device=DEVICE, site=SITE, broker_port=broker.port, broker_password=broker.passwords[DEVICE], data=disk.folder
    )
    application = Application(broker.port, broker.passwords[INGEST])
    codes = [f"code-{number}" for number in range(60)]
    with Outbox(disk.folder / "outbox.db") as outbox:
        keep(outbox, *codes)
        disk.fill()
        keep_until_refused(outbox, codes)
        disk.fill()  # the outbox has given back what its log took
        ended: list[bool] = []
        uplink = Uplink(settings, outbox, "1", lambda: ended.append(True))
        uplink.start()
        wait_for(lambda: len(application.codes()) >= 60)
        assert outbox.depth == len(codes)
        assert not ended
        assert uplink.is_online
        disk.make_room()
        wait_for(lambda: outbox.depth == 0)
        uplink.stop(0)
        assert not uplink.has_failed
        assert application.codes() == Counter(codes)
    application.stop()


def test_a_station_whose_log_is_on_the_full_disk_too_waits_and_goes_on(
    disk: Disk, tmp_path: Path, start_broker: StartBroker
) -> None:
    broker = start_broker({DEVICE: SITE})
    application = Application(broker.port, broker.passwords[INGEST])
    photos = tmp_path / "photos"
    photos.mkdir()
    settings = {"data": disk.folder / "data", "source": f"folder:{photos}", "broker_port": broker.port}
    account = {"device": DEVICE, "site": SITE, "broker_password": broker.passwords[DEVICE]}
    station = start_agent("station", disk.folder / "station.log", **settings, **account)
    try:
        drop_photo(photos, "1", ["(00)069012300000000010"])
        wait_for((photos / "done" / "1.png").exists)
        disk.fill()
        for number in range(30):
            drop_photo(photos, f"{number + 2}", [f"(00)06901230000000{number + 100}0"])
        with pytest.raises(AssertionError, match="waited in vain"):
            wait_for(lambda: station.poll() is not None or not list(photos.glob("*.png")), 8)
        assert station.poll() is None, "it lives, and the photos that it could not keep are where they were"
        disk.make_room()
        wait_for(lambda: not list(photos.glob("*.png")))
        wait_for(lambda: sum(application.codes().values()) == 31)
        assert set(application.codes().values()) == {1}
    finally:
        station.terminate()
        assert station.wait(PATIENCE) == 0
        application.stop()
