"""Feeds the parsers of foreign bytes: guided by coverage where atheris is installed, else by mutations alone."""

import importlib.util
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from msgspec import Struct

from cli.soaking.targets import SEEDS, TARGETS

NOTHING_FOUND: Final = "no crash, no hang"
_HANG_SECONDS: Final = 5
_HANG_ON_A_BUSY_MACHINE_SECONDS: Final = 60
_LONGEST_INPUT: Final = 4096
_SECONDS_PER_INPUT: Final = 0.002
_INTERESTING: Final = (0, 1, 0x0A, 0x20, 0x22, 0x2C, 0x30, 0x5B, 0x5D, 0x7B, 0x7D, 0x7F, 0x80, 0xFF)


class Fuzzed(Struct, frozen=True, kw_only=True):
    """What a run of one target came to; `outcome` tells of the first crash or hang."""

    target: str
    engine: str
    inputs: int
    seconds: float
    outcome: str = NOTHING_FOUND

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return self.outcome == NOTHING_FOUND


class _Hang(Exception):  # noqa: N818  an alarm, not an error of the program
    """An input took too long."""


def is_guided() -> bool:
    """Tell whether the coverage-guided engine is installed: it comes for x86-64 only."""
    return importlib.util.find_spec("atheris") is not None


def fuzz(folder: Path, inputs: int, seed: int) -> list[Fuzzed]:
    """Feed every target `inputs` inputs; what crashes or hangs one is left in `folder`."""
    return [
        guided(folder / name, name, inputs, seed) if is_guided() else mutated(name, inputs, seed) for name in TARGETS
    ]


def guided(folder: Path, name: str, inputs: int, seed: int) -> Fuzzed:
    """Run one target under atheris in a process of its own."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, valid in enumerate(SEEDS[name]):
        (corpus / f"valid-{number}").write_bytes(valid)
    options = [
        f"-runs={inputs}",
        f"-seed={seed}",
        f"-max_len={_LONGEST_INPUT}",
        f"-timeout={_HANG_ON_A_BUSY_MACHINE_SECONDS}",
    ]
    command = [sys.executable, "-m", "cli.soaking.harness", name, *options, f"-artifact_prefix={folder}/", str(corpus)]
    started = time.monotonic()
    ended = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=60 + inputs * _SECONDS_PER_INPUT, check=False
    )
    seconds = round(time.monotonic() - started, 1)
    found = {} if ended.returncode == 0 else {"outcome": (ended.stdout + ended.stderr)[-2000:]}
    return Fuzzed(target=name, engine="guided by coverage (atheris)", inputs=inputs, seconds=seconds, **found)


def mutated(
    name: str, inputs: int, seed: int, target: Callable[[bytes], None] | None = None, seeds: Sequence[bytes] = ()
) -> Fuzzed:
    """Run one target in this process on mutations of valid inputs; another `target` and its `seeds` may be given."""
    draw = random.Random(seed)  # noqa: S311  a run must be repeatable
    call, valid = target or TARGETS[name], list(seeds or SEEDS[name])
    # Of processor: a busy machine is no hang of a parser.
    earlier = signal.signal(signal.SIGVTALRM, _hang)
    started = time.monotonic()
    outcome, fed = NOTHING_FOUND, 0
    try:
        while fed < inputs:
            fed += 1
            data = _mutation(draw, valid)
            signal.setitimer(signal.ITIMER_VIRTUAL, _HANG_SECONDS)
            call(data)
    except Exception as error:  # noqa: BLE001  whatever escapes a parser is the finding
        outcome = f"{type(error).__name__} on {data!r}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, earlier)
    seconds = round(time.monotonic() - started, 1)
    return Fuzzed(target=name, engine="mutations", inputs=fed, seconds=seconds, outcome=outcome)


def _mutation(draw: random.Random, valid: Sequence[bytes]) -> bytes:
    """Return a valid input with one to six changes: bytes set, cut out, doubled, or taken from another input."""
    data = bytearray(draw.choice(valid))
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(data) + 1)
        span = draw.randrange(1, 12)
        match draw.randrange(5):
            case 0:
                data[at : at + 1] = bytes([draw.choice(_INTERESTING)])
            case 1:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 2:
                del data[at : at + span]
            case 3:
                data[at:at] = data[at : at + span] * draw.randint(1, 5)
            case _:
                other = draw.choice(valid)
                data[at:at] = other[draw.randrange(len(other)) :][:span]
    return bytes(data[:_LONGEST_INPUT])


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise _Hang(f"no answer within {_HANG_SECONDS} s of processor")
