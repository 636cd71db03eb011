"""The path of a code: read by GS1's rules, brought into its one canonical form, and cut into its levels."""

import re
from typing import Final, NamedTuple

from contracts.gs1 import Gs1Error
from contracts.gs1.link import link_elements, uri

_ORIGIN: Final = "https://x"
_SHORT_GTIN: Final = re.compile(r"^/01/(\d{12,13}|\d{8})(?=/|$)")
_LONGEST: Final = 400


class Address(NamedTuple):
    """A code: its canonical path, and its elements in the order of the path."""

    path: str
    elements: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        """The application identifier of its key."""
        return self.elements[0][0]

    def value(self, ai: str) -> str | None:
        """Return one element's value, or None."""
        return dict(self.elements).get(ai)

    @property
    def levels(self) -> tuple["Address", ...]:
        """The code itself and all that it lies under, the broadest first."""
        found = []
        for end in range(1, len(self.elements) + 1):
            elements = self.elements[:end]
            found.append(Address((uri(elements, host="") or ""), elements))
        return tuple(found)


def read_address(path: str) -> Address:
    """Return what a path names; raises `Gs1Error` with the position of what is wrong in it.

    Product numbers of 8, 12 and 13 digits and a slash at the end are understood; the canonical path has neither.
    """
    if len(path) > _LONGEST:
        raise Gs1Error("INPUT_TOO_LONG", f"more than {_LONGEST} characters", position=_LONGEST)
    whole = _SHORT_GTIN.sub(lambda match: f"/01/{match[1]:0>14}", path).rstrip("/")
    try:
        elements = link_elements(_ORIGIN + whole)
    except Gs1Error as error:
        shift = len(_ORIGIN) + len(whole) - len(path.rstrip("/"))
        raise Gs1Error(error.reason, error.message, position=max(0, error.position - shift)) from error
    if elements[0].ai_position != len(_ORIGIN) + 1:
        raise Gs1Error("URI_NO_KEY", "the path does not begin with a key")
    pairs = tuple((element.ai, element.value) for element in elements)
    return Address(uri(pairs, host="") or "", pairs)
