"""One thing that is wrong with a document."""

from typing import NamedTuple


class Problem(NamedTuple):
    """Where (a JSON pointer), what (a stable code) and the same in words."""

    pointer: str
    code: str
    message: str


def child(pointer: str, step: str | int) -> str:
    """Return the pointer of a member or element."""
    return f"{pointer}/{str(step).replace('~', '~0').replace('/', '~1')}"
