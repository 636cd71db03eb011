"""Answers of a controller on a serial line that come late, or in another order of words than they should."""

import os
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymodbus.framer.rtu import FramerRTU

from contracts.errors import SourceError
from contracts.shelf_registers import BLOCK_SIZE, Input, Shared, block
from edge.shelf import modbus
from edge.shelf.modbus import ShelfController


class Controller:
    """One controller of two channels on a pty, in a thread: channel c shows 1,000 · c grams."""

    def __init__(self, link: Path) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        link.symlink_to(os.ttyname(self._slave))
        self.swapped = False
        self.late_at: int | None = None
        """The address of a question that is answered only when it was asked once more."""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def answer(self, address: int, count: int) -> None:
        """Send what a read of input registers is answered with."""
        words = [0] * count
        if address == Shared.BASE:
            words[Shared.CHANNELS.offset] = 2
        else:
            grams = 1000 * ((address - block(1)) // BLOCK_SIZE + 1)
            for register, value in ((Input.RAW, 400 * grams), (Input.GRAMS, grams)):
                words[register.offset : register.offset + 2] = register.pack(value)[:: -1 if self.swapped else 1]
        frame = bytes([1, 4, 2 * count]) + b"".join(word.to_bytes(2, "big") for word in words)
        os.write(self.master, frame + FramerRTU.compute_CRC(frame).to_bytes(2, "big"))

    def close(self) -> None:
        os.close(self._slave)
        self._thread.join(10)
        os.close(self.master)

    def _serve(self) -> None:
        due: list[tuple[int, int]] = []
        asked = b""
        while True:
            try:
                asked += os.read(self.master, 8 - len(asked))
            except OSError:
                return
            if len(asked) < 8:
                continue
            due.append((int.from_bytes(asked[2:4], "big"), int.from_bytes(asked[4:6], "big")))
            asked = b""
            if due[-1][0] == self.late_at:
                self.late_at = None
                continue
            self.answer(*due.pop(0))
            while due:
                time.sleep(0.3)  # it is slow, and hears nothing meanwhile
                self.answer(*due.pop(0))


@pytest.fixture
def controller(tmp_path: Path) -> Iterator[Controller]:
    served = Controller(tmp_path / "line")
    yield served
    served.close()


def test_a_late_answer_is_not_taken_for_that_of_the_next_question(
    controller: Controller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As patient as a busy machine may need.
    monkeypatch.setattr(modbus, "_ANSWER_SECONDS", 1.5)
    monkeypatch.setattr(modbus, "_LONGEST_QUIETING_SECONDS", 60.0)
    controller.late_at = block(1)
    source = ShelfController(str(tmp_path / "line"), [1, 2])
    assert {channel: sample.grams for channel, sample in source.poll().channels.items()} == {1: 1000, 2: 2000}
    source.close()


def test_words_in_the_wrong_order_are_named_and_not_weighed(controller: Controller, tmp_path: Path) -> None:
    source = ShelfController(str(tmp_path / "line"), [1, 2])
    controller.swapped = True
    with pytest.raises(SourceError, match="no converter of 24 bits") as told:
        source.poll()
    assert "high word first" in told.value.advice
    source.close()
