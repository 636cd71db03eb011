"""Codes issued and verified in bulk, beside one HMAC for each in a Python loop and beside our own one by one."""

import hmac
import time
from collections.abc import Callable
from typing import Final

from benchmarks.frame import Figure, Outcome, Progress, Target
from contracts.tc20 import ALPHABET, Profile, Tc20
from contracts.tc20_bulk import BulkTc20, as_lines

_TARGETS: Final = {
    "issue.codes_per_s": Target(">=", 25_000_000),
    "issue.times_hmac": Target(">=", 100),
    "verify.codes_per_s": Target(">=", 12_000_000),
}
_MASTER: Final = bytes(range(32))
_GTIN: Final = "09506000134352"
_BULK: Final = 4 * 2**20
_SINGLE: Final = 50_000
_ROUNDS: Final = 7


def run(progress: Progress) -> Outcome:
    """Measure each way in turn, seven rounds, and return the best of each."""
    ways = _ways()
    figures: dict[str, Figure] = {}
    for number in range(_ROUNDS):
        for name, work in ways.items():
            started = time.perf_counter()
            count = work()
            rate = round(count / (time.perf_counter() - started))
            figures[name] = max(rate, int(figures.get(name, 0)))
        progress(f"round {number + 1}: best so far {int(figures['issue.codes_per_s']):,} issued/s")
    for kind in ("issue", "verify"):
        bulk = float(figures[f"{kind}.codes_per_s"])
        figures[f"{kind}.times_hmac"] = round(bulk / float(figures[f"{kind}.hmac_per_s"]), 1)
        figures[f"{kind}.times_one_by_one"] = round(bulk / float(figures[f"{kind}.one_by_one_per_s"]), 1)
    return Outcome(figures, _TARGETS)


def _ways() -> dict[str, Callable[[], int]]:
    aes, sm4 = (BulkTc20(_MASTER, "acme", 1, profile) for profile in (Profile.AES, Profile.SM4))
    scalar = Tc20(_MASTER, "acme", 1)
    serials, few = aes.issue(_GTIN, 0, _BULK), [scalar.issue(_GTIN, counter) for counter in range(_SINGLE)]
    of_sm4 = sm4.issue(_GTIN, 0, _BULK)
    signed = [_hmac_serial(counter) for counter in range(_SINGLE)]
    return {
        "issue.codes_per_s": lambda: sum(piece.size for piece in aes.chunks(_GTIN, 0, _BULK)),
        "issue.lines_per_s": lambda: sum(len(as_lines(piece)) // 21 for piece in aes.chunks(_GTIN, 0, _BULK)),
        "issue.sm4_per_s": lambda: sum(piece.size for piece in sm4.chunks(_GTIN, 0, _BULK)),
        "issue.one_by_one_per_s": lambda: len([scalar.issue(_GTIN, counter) for counter in range(_SINGLE)]),
        "issue.hmac_per_s": lambda: len([_hmac_serial(counter) for counter in range(_SINGLE)]),
        "verify.codes_per_s": lambda: int((aes.verify(_GTIN, serials) >= 0).sum()),
        "verify.sm4_per_s": lambda: int((sm4.verify(_GTIN, of_sm4) >= 0).sum()),
        "verify.one_by_one_per_s": lambda: sum(scalar.verify(_GTIN, each) is not None for each in few),
        "verify.hmac_per_s": lambda: sum(_hmac_verify(each) for each in signed),
    }


def _hmac_serial(counter: int) -> str:
    """Return a counter with one HMAC of it in base 32: what one would write at first."""
    mac = hmac.digest(_MASTER, b"%s%d" % (_GTIN.encode(), counter), "sha256")
    bits = counter << 60 | int.from_bytes(mac[:8], "big") >> 4
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(95, -1, -5))


def _hmac_verify(serial: str) -> bool:
    bits = 0
    for letter in serial:
        bits = bits << 5 | _VALUES[letter]
    mac = hmac.digest(_MASTER, b"%s%d" % (_GTIN.encode(), bits >> 60), "sha256")
    return hmac.compare_digest((bits & (1 << 60) - 1).to_bytes(8), (int.from_bytes(mac[:8], "big") >> 4).to_bytes(8))


_VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}
