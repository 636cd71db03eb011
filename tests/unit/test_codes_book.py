"""The book of batches against a plain set of counters, and lines of any content against the checker."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.tc20 import Tc20
from contracts.tc20_bulk import BulkTc20
from trace_service.codes.book import Book, BookError, Entry, merged
from trace_service.codes.check import Answer, Checker, Item, read_item

MASTER = bytes(range(32))
GTIN, OTHER = "09506000134352", "09506000134369"
spans = st.tuples(st.integers(0, 60), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3)), max_size=6), st.lists(spans))
def test_a_counter_is_found_in_the_batch_that_holds_it_and_nowhere_else(
    steps: list[tuple[int, int, int]], excluded: list[tuple[int, int]]
) -> None:
    entries, start = [], 0
    for number, (gap, size, epoch) in enumerate(steps):
        first, last = start + gap, start + gap + size - 1
        inside = tuple((max(low, first), min(high, last)) for low, high in excluded if low <= last and high >= first)
        entries.append(Entry(f"B{number}", GTIN, epoch, first, last, inside))
        start = last + 1
    book = Book(entries)
    counters = np.arange(-1, start + 3)
    for epoch in (1, 2, 3):
        expected = [
            next(
                (
                    each.batch
                    for each in entries
                    if each.epoch == epoch
                    and each.first <= counter <= each.last
                    and not any(low <= counter <= high for low, high in each.excluded)
                ),
                None,
            )
            for counter in counters.tolist()
        ]
        assert book.batches(GTIN, epoch, counters) == expected
    assert set(book.batches(OTHER, 1, counters)) == {None}


@given(st.lists(spans))
def test_merged_ranges_hold_the_same_counters_apart_and_in_order(ranges: list[tuple[int, int]]) -> None:
    apart = merged(ranges)
    assert {n for low, high in apart for n in range(low, high + 1)} == {
        n for low, high in ranges for n in range(low, high + 1)
    }
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(apart))


def test_batches_that_overlap_are_refused_with_both_names() -> None:
    with pytest.raises(BookError, match="B1 and B2 of 09506000134352 overlap at counter 9"):
        Book([Entry("B2", GTIN, 1, 9, 20), Entry("B1", GTIN, 1, 0, 9)])
    Book([Entry("B2", OTHER, 1, 9, 20), Entry("B1", GTIN, 1, 0, 9)])


def checker(*entries: Entry) -> Checker:
    codec = BulkTc20(MASTER, "acme", 1)
    return Checker(lambda epoch: codec if epoch == 1 else None, Book(entries))


@given(st.lists(st.text(max_size=60)))
def test_no_line_breaks_the_checker_and_none_of_chance_is_valid(lines: list[str]) -> None:
    assert checker(Entry("B", GTIN, 1, 0, 99)).check([read_item(line) for line in lines]) == [None] * len(lines)


@given(st.lists(st.integers(0, 199), min_size=1))
def test_answers_come_in_the_order_of_the_questions_whatever_their_products(counters: list[int]) -> None:
    tc20 = Tc20(MASTER, "acme", 1)
    gtins = [(GTIN, OTHER)[counter % 2] for counter in counters]
    items = [Item(gtin, tc20.issue(gtin, counter)) for gtin, counter in zip(gtins, counters, strict=True)]
    book = checker(Entry("odd", OTHER, 1, 0, 99), Entry("even", GTIN, 1, 0, 99))
    expected = [Answer(1, counter, ("even", "odd")[counter % 2]) if counter < 100 else None for counter in counters]
    assert book.check(items) == expected
    # A serial alone is tried with every product that has a batch.
    assert book.check([Item("", item.serial) for item in items]) == expected
