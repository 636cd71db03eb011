"""An isolation forest (Liu, Ting, Zhou 2008), as plain as it is published: one of the rules to compare with."""

from math import log
from typing import Final

import numpy as np

from trace_service.detection.network import FloatArray

_TREES: Final = 100
_SAMPLE: Final = 256
_DEPTH: Final = 8
_EULER: Final = 0.5772156649


def isolation_scores(rows: FloatArray, seed: int = 0) -> FloatArray:
    """Return a score in (0, 1) for each row of shape (n, features); near 1 is isolated after few random cuts."""
    random = np.random.default_rng(seed)
    size = min(_SAMPLE, len(rows))
    depth = np.zeros(len(rows))
    for _ in range(_TREES):
        sample = rows[random.choice(len(rows), size, replace=False)]
        _descend(rows, sample, depth, random)
    found: FloatArray = 2.0 ** (-depth / _TREES / max(_usual(size), 1e-9))
    return found


def _descend(rows: FloatArray, sample: FloatArray, depth: FloatArray, random: np.random.Generator) -> None:
    """Cut the rows as a tree grown on the sample does, and add to each the length of its path."""
    waiting = [(np.arange(len(rows)), sample, 0)]
    while waiting:
        members, grown, level = waiting.pop()
        spread = grown.max(axis=0) - grown.min(axis=0) if len(grown) else np.zeros(rows.shape[1])
        if level == _DEPTH or len(grown) <= 1 or not spread.any():
            depth[members] += level + _usual(len(grown))
            continue
        feature = int(random.choice(np.flatnonzero(spread)))
        cut = random.uniform(grown[:, feature].min(), grown[:, feature].max())
        left, below = rows[members, feature] < cut, grown[:, feature] < cut
        waiting.append((members[left], grown[below], level + 1))
        waiting.append((members[~left], grown[~below], level + 1))


def _usual(size: int) -> float:
    """Return the mean path length of an unsuccessful search among so many."""
    if size <= 1:
        return 0.0
    return 2 * (log(size - 1) + _EULER) - 2 * (size - 1) / size if size > 2 else 1.0  # noqa: PLR2004  # two need one cut
