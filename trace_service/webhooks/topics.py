"""Which topics there are. One that nobody ever tells of is refused, so that no partner waits for it in silence."""

from collections.abc import Iterable, Mapping
from typing import Final

from contracts.errors import ConfigurationError

FAMILIES: Final[Mapping[str, frozenset[str]]] = {
    "order": frozenset(
        {"accepted", "changed", "loading", "closed", "difference", "cancelled", "received", "conflict"}
    ),
    "proposal": frozenset({"made", "approved", "rejected", "withdrawn"}),
    "alert": frozenset({"raised", "acknowledged", "closed"}),
    "case": frozenset(
        {"opened", "assigned", "dealer_asked", "check_ordered", "check_reported", "proposed", "returned", "closed",
         "reopened"}
    ),
    "digest": frozenset({"daily"}),
    "trip": frozenset({"raised", "updated", "ended", "retracted"}),
}  # fmt: skip
# What there are words for; the rest is for programs.
WORDED: Final = frozenset({"case", "digest"})


def require_told(topics: Iterable[str], families: Iterable[str] = FAMILIES) -> None:
    """Raise `ConfigurationError` for what is neither a topic of `families`, nor one of them (`case.*`), nor `*`."""
    told = set(families)
    for topic in topics:
        family, _, name = topic.partition(".")
        if topic == "*" or (family in told and (name == "*" or name in FAMILIES[family])):
            continue
        if family in told:
            advice = f"There are {', '.join(sorted(f'{family}.{each}' for each in FAMILIES[family]))}, and {family}.*."
        else:
            advice = f"There are {', '.join(sorted(f'{each}.*' for each in told))} and *."
        raise ConfigurationError(f"nothing is told under {topic!r}", advice=advice)
