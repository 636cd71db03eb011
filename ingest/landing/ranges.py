"""Sequence numbers as ranges: inclusive pairs on the wire, half-open ones in the database."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Range = tuple[int, int]
"""First and last number, both included."""


def merge(ranges: Iterable[Range]) -> list[Range]:
    """Return the same numbers as the fewest ranges, ascending."""
    merged: list[Range] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def overlaps(ranges: Sequence[Range], first: int, last: int) -> bool:
    """Tell whether any number from `first` to `last` lies in `ranges`, which are merged."""
    after = bisect_right(ranges, last, key=lambda known: known[0])
    return after > 0 and ranges[after - 1][1] >= first


def multirange(ranges: Iterable[Range]) -> str:
    """Return PostgreSQL's text form of an int8multirange."""
    return "{" + ",".join(f"[{first},{last + 1})" for first, last in ranges) + "}"


def subtract(ranges: Iterable[Range], others: Iterable[Range]) -> list[Range]:
    """Return the numbers of `ranges` that are in none of `others`, as the fewest ranges, ascending."""
    left: list[Range] = []
    taken = merge(others)
    at = 0
    for first, last in merge(ranges):
        start = first
        while at < len(taken) and taken[at][1] < start:
            at += 1
        here = at
        while start <= last:
            if here == len(taken) or taken[here][0] > last:
                left.append((start, last))
                break
            if taken[here][0] > start:
                left.append((start, taken[here][0] - 1))
            start = taken[here][1] + 1
            here += 1
    return left


def intersect(ranges: Sequence[Range], others: Sequence[Range]) -> list[Range]:
    """Return the numbers that are in both, as the fewest ranges, ascending."""
    return subtract(ranges, subtract(ranges, others))


def count(ranges: Iterable[Range]) -> int:
    """Return how many numbers there are in ranges that do not overlap."""
    return sum(last - first + 1 for first, last in ranges)
