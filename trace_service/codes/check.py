"""Checks codes in bulk: the tag, then the batch. Whatever is wrong, the answer is the same."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from contracts.errors import CodeError
from contracts.gs1 import item_key, parse
from contracts.tc20 import ALPHABET, LENGTH
from contracts.tc20_bulk import BulkTc20, as_serials
from trace_service.codes.book import Book

_SERIAL: Final = re.compile(f"[{ALPHABET}]{{{LENGTH}}}")
_OUR_LABEL: Final = re.compile(rf"(?:(?:HTTPS|https)://[^/?#\s]+)?/01/(\d{{14}})/21/([{ALPHABET}]{{{LENGTH}}})")
_TWO_WORDS: Final = re.compile(r"(\d{8}|\d{12,14})[\s,;]+(\S+)")
_EPOCHS: Final = {letter: value for value, letter in enumerate(ALPHABET)}
_AIM: Final = re.compile(r"\][A-Za-z]\d")
_DATA_MATRIX: Final = "]d2"


class Item(NamedTuple):
    """What a line names; `gtin` is empty where it holds a serial alone."""

    gtin: str
    serial: str


class Answer(NamedTuple):
    """What is known of a code that is valid; `reduced` where its key was killed after custody had seen it."""

    epoch: int
    counter: int | None
    batch: str | None
    reduced: bool = False


class Checker:
    """Checks the codes of one tenant with the codecs of its epochs.

    Without a `book` every counter counts as issued. `seen` returns which units custody knew before their key was
    killed; only codes of epochs in `killed` are asked about.
    """

    def __init__(
        self,
        codec: Callable[[int], BulkTc20 | None],
        book: Book | None,
        *,
        killed: frozenset[int] = frozenset(),
        seen: Callable[[Mapping[str, int]], Iterable[str]] | None = None,
    ) -> None:
        self._codec, self._book, self._killed, self._seen = codec, book, killed, seen

    def check(self, items: Sequence[Item | None]) -> list[Answer | None]:
        """Return the answer to each item, None for every one that is not valid."""
        answers: list[Answer | None] = [None] * len(items)
        groups: dict[tuple[str, int], list[tuple[int, str]]] = defaultdict(list)
        for index, item in enumerate(items):
            epoch = _EPOCHS.get(item.serial[:1]) if item is not None else None
            if item is not None and epoch is not None:
                groups[item.gtin, epoch].append((index, item.serial))
        for (gtin, epoch), members in groups.items():
            # A serial alone is tried with one product after the other.
            for candidate in (gtin,) if gtin else self._book.gtins if self._book else ():
                found = self._answers(candidate, epoch, [serial for _, serial in members])
                for (place, _), answer in zip(members, found, strict=True):
                    answers[place] = answer
                members = [member for member in members if answers[member[0]] is None]  # noqa: PLW2901  what is left
                if not members:
                    break
        return answers

    def _answers(self, gtin: str, epoch: int, serials: Sequence[str]) -> list[Answer | None]:
        if epoch in self._killed:
            return self._remembered(gtin, epoch, serials)
        codec = self._codec(epoch)
        if codec is None:
            return [None] * len(serials)
        counters = codec.verify(gtin, as_serials(serials))
        if self._book is None:
            return [Answer(epoch, counter, None) if counter >= 0 else None for counter in counters.tolist()]
        batches = self._book.batches(gtin, epoch, counters)
        found = zip(counters.tolist(), batches, strict=True)
        return [Answer(epoch, counter, batch) if batch is not None else None for counter, batch in found]

    def _remembered(self, gtin: str, epoch: int, serials: Sequence[str]) -> list[Answer | None]:
        units = [item_key(gtin, serial) for serial in serials]
        known = set(self._seen(dict.fromkeys(units, epoch))) if self._seen else set()
        return [Answer(epoch, None, None, reduced=True) if unit in known else None for unit in units]


def read_item(text: str, gtin: str = "") -> Item | None:
    """Return what a line names: a Digital Link or its key, an element string, `GTIN serial`, a serial of `gtin`."""
    label = _OUR_LABEL.fullmatch(text)
    if label is not None:
        return Item(label[1], label[2])
    if _SERIAL.fullmatch(text) is not None:
        return Item(gtin, text)
    two = _TWO_WORDS.fullmatch(text)
    if two is not None:
        return Item(two[1].zfill(14), two[2])
    aim = _AIM.match(text)
    attempts = ((text[3:], aim[0]),) if aim else ((text, ""), (text, _DATA_MATRIX))
    for rest, identifier in attempts:
        try:
            found = parse(rest, identifier)
        except CodeError:
            continue
        return Item(found.gtin, found.serial) if found.is_item else None
    return None
