"""100,000 random histories of custody against a naive reference: every transition met, none judged otherwise."""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from benchmarks.frame import Outcome, Progress, Target
from benchmarks.load.custody_check import TRANSITIONS, Report, check, merged

_HISTORIES: Final = 100_000
_CHUNK: Final = 1_000
_TARGETS: Final = {"differing": Target("==", 0), "transitions_missing": Target("==", 0)}


def run(progress: Progress) -> Outcome:
    """Play the histories on all cores; each line of the coverage goes to `progress`."""
    began = time.perf_counter()
    report = Report.nothing()
    chunks = [range(start, start + _CHUNK) for start in range(0, _HISTORIES, _CHUNK)]
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for number, found in enumerate(pool.map(check, chunks), 1):
            report = merged(report, found)
            if number % 10 == 0:
                progress(f"{report.histories:,} histories, {len(report.differing)} differ {report.differing[:5]}")
    for line in report.coverage():
        progress(line)
    figures = {
        "histories": report.histories,
        "events": report.events,
        "differing": len(report.differing),
        "transitions": sum(len(words.split()) for words in TRANSITIONS.values()),
        "transitions_missing": len(report.missing),
        "histories_per_s": report.histories / (time.perf_counter() - began),
    }
    return Outcome(figures, _TARGETS)
