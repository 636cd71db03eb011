from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ingest.audit import Facts, balance, widened
from ingest.landing.ranges import Range, merge

numbers = st.sets(st.integers(1, 40))
BOOT = UUID(int=1)


def ranges(members: set[int]) -> list[Range]:
    return merge((number, number) for number in members)


@given(received=numbers, stored=numbers, letters=numbers, dropped=numbers, expired=numbers, window=numbers)
def test_whatever_the_tables_say_the_accounts_are_disjoint_and_what_they_cannot_explain_shows(
    *, received: set[int], stored: set[int], letters: set[int], dropped: set[int], expired: set[int], window: set[int]
) -> None:
    first, last = (min(window), max(window)) if window else (1, 40)
    inside = set(range(first, last + 1))
    stored &= inside
    facts = Facts(
        site="dc-east",
        received=ranges(received),
        expired=ranges(expired),
        dropped=ranges(dropped),
        window=(first, last),
        stored=ranges(stored),
        kinds={"scan": len(stored)},
        letters=ranges(letters),
    )
    book = balance("station-1", BOOT, facts)
    committed = stored | (expired & inside)
    assert book.captured == len(inside)
    assert book.committed == len(committed)
    assert book.missing == len(inside - received - committed)
    assert book.dead_lettered == len((letters & received & inside) - committed)
    nowhere = (received & inside) - committed - letters - dropped
    assert book.unexplained == len(nowhere) + len(stored - received)
    assert book.balances == (book.unexplained == 0)


@given(received=numbers, window=st.sets(st.integers(1, 40), min_size=1))
def test_a_window_reaches_as_far_as_the_holes_beside_it(received: set[int], window: set[int]) -> None:
    first, last = min(window), max(window)
    if not received:
        return
    found = widened((first, last), ranges(received))
    assert found is not None
    start, stop = found
    assert start <= first <= last <= stop
    assert not received & (set(range(start, first)) | set(range(last + 1, stop + 1)))
    assert start == 1 or start - 1 in received
    assert stop == last or stop + 1 in received
