"""Reading GS1 identifiers in every form, with all rules, beside biip, which knows fewer rules."""

import random
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Final

from benchmarks.frame import Figure, Outcome, Progress, Target
from contracts import gs1

_LINES: Final = 4000
_ROUNDS: Final = 5
_SEED: Final = 20
_PRODUCTS: Final = 50
_BASE32: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# biip reads brackets only where it is told to, and no EPC URNs.
_FOREIGN: Final = ("link", "link_with_attributes", "scan", "sscc")
_TARGETS: Final = {
    "station.per_s": Target(">=", 500_000),
    "link_with_attributes.per_s": Target(">=", 50_000),
    "scan.per_s": Target(">=", 50_000),
    "scan.times_biip": Target(">=", 5.0),
}


def run(progress: Progress) -> Outcome:
    """Read the same lines with both, in turns, and count CPU time: this machine has other work."""
    figures: dict[str, Figure] = {}
    forms = _forms(random.Random(_SEED))
    for name, lines in forms.items():
        progress(f"{name}: {len(lines)} lines, {_ROUNDS} rounds")
        figures[f"{name}.per_s"] = _rate(gs1.read, lines)
    figures["station.per_s"] = _rate(gs1.parse, forms["link"])
    if find_spec("biip"):
        import biip  # noqa: PLC0415  only where the development extra is installed

        for name in _FOREIGN:
            theirs = _rate(biip.parse, forms[name])
            figures[f"{name}.biip_per_s"] = theirs
            figures[f"{name}.times_biip"] = round(float(figures[f"{name}.per_s"]) / theirs, 1)
    targets = {name: target for name, target in _TARGETS.items() if name in figures}
    return Outcome(dict(sorted(figures.items())), targets)


def _rate(read: Callable[[str], object], lines: Sequence[str]) -> int:
    """Return lines a CPU second, of the best round."""
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.process_time()
        for line in lines:
            read(line)
        best = min(best, time.process_time() - began)
    return round(len(lines) / best)


def _forms(rng: random.Random) -> dict[str, list[str]]:
    bodies = [f"0950600013{number:03}" for number in range(_PRODUCTS)]
    gtins = [body + str(gs1.check_digit(body)) for body in bodies]
    items = [(rng.choice(gtins), "".join(rng.choices(_BASE32, k=20))) for _ in range(_LINES)]
    ssccs = [f"09506000{number:09}" for number in range(_LINES)]
    lots = [f"LOT{number % 100}" for number in range(_LINES)]
    return {
        "link": [f"HTTPS://ID.EXAMPLE.COM/01/{gtin}/21/{serial}" for gtin, serial in items],
        "link_with_attributes": [
            f"https://id.example.com/01/{gtin}/10/{lot}/21/{serial}?17=271231"
            for (gtin, serial), lot in zip(items, lots, strict=True)
        ],
        "bracketed": [
            f"(01){gtin}(21){serial}(17)271231(10){lot}" for (gtin, serial), lot in zip(items, lots, strict=True)
        ],
        "scan": [f"]d201{gtin}21{serial}\x1d1727123110{lot}" for (gtin, serial), lot in zip(items, lots, strict=True)],
        "sscc": [f"]C100{body}{gs1.check_digit(body)}" for body in ssccs],
        "urn": [f"urn:epc:id:sgtin:950600.0{gtin[7:13]}.{serial}" for gtin, serial in items],
    }
