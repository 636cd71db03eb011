"""Every application identifier: format, rules of its value, and what it goes with. GS1 General Specifications 26.

Source of the facts: the General Specifications, section 3, and the GS1 Barcode Syntax Dictionary; the notation is ours.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from contracts.gs1.checks import CHECKS, Check

# One line: identifiers | marks | format | needs | not with | path of a Digital Link.
#   identifiers  `310-316/0-5` are 3100 to 3105, 3110 to 3115 and so on
#   marks        * predefined length, no separator follows; ? may be an attribute of a Digital Link
#   format       components: N digits, X GS1's 82 characters, Y its 39, Z base 64; N6 six, N..6 one to six,
#                [N6] optional; checks follow after colons
#   needs        each group, parted by spaces, must be met by one of its alternatives, parted by commas; + joins
#   not with     identifiers that exclude it; n stands for a digit, = for the other ones of its own three digits
#   path         `key` of a Digital Link, or its qualifiers in order, alternatives parted by /
_TABLE: Final = """
00|*?|N18:csum:gcp@1|||key
01|*?|N14:csum:gcp@1||255,37|22,10,21/235
02|*?|N14:csum:gcp@1|37|01,03|
03|*|N14:csum:gcp@1||01,02,37|
10|?|X..20|01,02,03,8006,8026||
11,13,15,16|*?|N6:date0|01,02,03,8006,8026||
12|*?|N6:date0|8020||
17|*?|N6:date0|01,02,03,255,8006,8026||
20|*?|N2|01,02,8006,8026||
21||X..20|01,03,8006|235|
22||X..20|01||
235||X..28|01||
240,241|?|X..30|01,02,8006,8026||
242|?|N..6|01,02,8006,8026||
243|?|X..20|01||
250|?|X..30|01,8006 21||
251|?|X..30|01,8006||
253|?|N13:csum:gcp [X..17]|||key
254||X..20|414||
255|?|N13:csum:gcp [N..12]||01,02,415,8006,8020,8026|key
30|?|N..8|01,02||
310-316/0-5,320-329/0-5,350-352/0-5,356-357/0-5,360-361/0-5,364-366/0-5|*?|N6|01,02|=|
330-336/0-5,340-349/0-5,353-355/0-5,362-363/0-5,367-369/0-5|*?|N6|00,01|=|
337/0-5|*?|N6|01|=|
37|?|N..8|00 02,8026||
390/0-9|?|N..15|255,8020|=,391n,394n,8111|
391/0-9|?|N3:currency N..15|8020|=|
392/0-9|?|N..15|01 30,31nn,32nn,35nn,36nn|=,393n|
393/0-9|?|N3:currency N..15|30,31nn,32nn,35nn,36nn|=|
394/0-3|?|N4|255|=,8111|
395/0-5|?|N6|30,31nn,32nn,35nn,36nn|392n,393n,=,8005|
400|?|X..30|||
401|?|X..30:gcp|||key
402|?|N17:csum:gcp|||key
403|?|X..30|00||
410-413,416|*?|N13:csum:gcp|||
414|*?|N13:csum:gcp|||254/7040
415|*?|N13:csum:gcp|8020||8020
417|*?|N13:csum:gcp|||7040
420|?|X..20||421|
421|?|N3:country X..9||4307|
422|?|N3:country|01,02,8006,8026|426|
423,425|?|N3:country [N3]:country [N3]:country [N3]:country [N3]:country|01,02|426|
424|?|N3:country|01,02|426|
426|?|N3:country|01,02||
427|?|X..3|01,02 422||
4300-4301,4310-4311,4320|?|X..35:percent|00||
4302,4304-4306,4312,4314-4316|?|X..70:percent|00||
4303|?|X..70:percent|4302||
4307,4317|?|X2:alpha2|00||
4308,4319|?|X..30|00||
4309|?|N10:latitude N10:longitude|00||
4313|?|X..70:percent|4312||
4318|?|X..20|00||
4321-4323|?|N1:yes|00||
4324-4325|?|N6:date0 N4:hhmm|00||
4326|?|N6:date|00||
4330|?|N6 [X1]:hyphen|00|4331|
4331|?|N6 [X1]:hyphen|00|4330|
4332|?|N6 [X1]:hyphen|00|4333|
4333|?|N6 [X1]:hyphen|00|4332|
7001|?|N13|01,02,8006,8026||
7002|?|X..30|01,02||
7003|?|N6:date N4:hhmm|01,02||
7004|?|N..4|01 10||
7005|?|X..12|01,02||
7006|?|N6:date|01,02||
7007|?|N6:date [N6]:date|01,02||
7008|?|X..3|01,02||
7009|?|X..10|01,02||
7010|?|X..2|01,02||
7011|?|N6:date [N4]:hhmm|01,02||
7020|?|X..20|01,8006 416||
7021|?|X..20|01,8006||
7022|?|X..20|7021||
7023|?|X..30:gcp|||
7030-7039|?|N3:country9 X..27|01,02||
7040||N1 X1 X1 X1:importer|||
7041||X..4:package|00||
710-717|?|X..20|01||
7230-7239|?|X2 X..28|01,8004||
7240|?|X..20|01,8006||
7241|?|N2:media|8017,8018||
7242|?|X..25|8017,8018||
7250|?|N8:date8|8018|7251|
7251|?|N8:date8 N4:hhmm|8018|7250|
7252|?|N1:sex|8018||
7253-7254|?|X..40:percent|8017,8018|7256,7259|
7255|?|X..10|8017,8018|7256,7259|
7256|?|X..90:percent|8017,8018||
7257|?|X..70:percent|8018||
7258|?|X3:position|8018+7259||
7259|?|X..40:percent|8018|7256|
8001|?|N4:nonzero N5:nonzero N3:nonzero N1:winding N1|01||
8002|?|X..20|||
8003|?|N1:zero N13:csum:gcp [X..16]|||key
8004|?|X..30:gcp|||7040
8005|?|N6|01,02||
8006|?|N14:csum:gcp@1 N4:piece||01,37|22,10,21
8007|?|X..34:iban|415||
8008|?|N6:date N2:hh [N2]:mm [N2]:ss|01,02||
8009|?|X..50|00,01||
8010|?|Y..30:gcp|||8011
8011||N..12:nolead|8010||
8012|?|X..20|01,8006||
8013|?|X..25:pair:gcp|||key
8014||X..25:pair:gcp:nondigit|01||
8017|?|N18:csum:gcp||8018|8019
8018|?|N18:csum:gcp||8017|8019
8019||N..10|8017,8018||
8020||X..25|415||
8026|?|N14:csum:gcp@1 N4:piece|37|02,8006|
8030|?|Z..90:padding|00,01+21,253,255,8003,8004,8006+21,8010+8011,8017,8018||
8040-8041|?|N15:imei|01||
8042|?|N32|01||
8043|?|N18 [N..2]|01||
8110|?|X..70:coupon|||
8111|?|N4|255||
8112|?|X..70:offer|||
8200||X..70|01||
90|?|X..30|||
91-99|?|X..90|||
"""

_CHARACTERS: Final[Mapping[str, str]] = {
    "N": "[0-9]",
    "X": r"[!\"%&'()*+,\-./0-9:;<=>?A-Z_a-z]",
    "Y": r"[#\-/0-9A-Z]",
    "Z": r"[\-0-9A-Z_a-z=]",
}
_COMPONENT: Final = re.compile(r"(?P<open>\[?)(?P<set>[NXYZ])(?P<upto>(?:\.\.)?)(?P<size>\d+)\]?(?P<checks>(?::\S+)?)")


class Component(NamedTuple):
    """One part of a value: its set of characters (N, X, Y or Z), its length range, and the checks it must pass."""

    charset: str
    shortest: int
    longest: int
    optional: bool
    checks: tuple[Check, ...]

    @property
    def pattern(self) -> str:
        """A regular expression of its characters and length."""
        body = f"{_CHARACTERS[self.charset]}{{{self.shortest},{self.longest}}}"
        return f"(?:{body})?" if self.optional else body


class Entry(NamedTuple):
    """An application identifier: what its value may be, and what else the label must and must not hold."""

    ai: str
    predefined: bool
    attribute: bool
    components: tuple[Component, ...]
    pattern: re.Pattern[str]
    checked: bool
    needs: tuple[tuple[tuple[str, ...], ...], ...]
    excludes: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]

    @property
    def shortest(self) -> int:
        """The fewest characters of a value."""
        return sum(part.shortest for part in self.components if not part.optional)

    @property
    def longest(self) -> int:
        """The most characters of a value."""
        return sum(part.longest for part in self.components)

    @property
    def is_key(self) -> bool:
        """Whether a Digital Link may begin with it."""
        return bool(self.paths)


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()


def _identifiers(text: str) -> Iterator[str]:
    for item in text.split(","):
        body, _, last_digits = item.partition("/")
        first, _, last = body.partition("-")
        for number in range(int(first), int(last or first) + 1):
            stem = f"{number:0{len(first)}}"
            if not last_digits:
                yield stem
                continue
            low, _, high = last_digits.partition("-")
            yield from (f"{stem}{digit}" for digit in range(int(low), int(high) + 1))


def _component(text: str) -> Component:
    match = _COMPONENT.fullmatch(text)
    if match is None:
        raise ValueError(text)
    longest = int(match["size"])
    checks = tuple(CHECKS[name] for name in match["checks"].split(":")[1:])
    return Component(match["set"], 1 if match["upto"] else longest, longest, bool(match["open"]), checks)


def _paths(text: str) -> tuple[tuple[str, ...], ...]:
    if text == "key":
        return ((),)
    return tuple(_split(alternative, ",") for alternative in _split(text, "/"))


def _entries() -> Iterator[Entry]:
    for line in _TABLE.strip().splitlines():
        identifiers, marks, form, needs, excludes, path = line.split("|")
        components = tuple(_component(part) for part in form.split())
        pattern = re.compile("".join(part.pattern for part in components))
        groups = tuple(
            tuple(_split(alternative, "+") for alternative in _split(group, ",")) for group in _split(needs, " ")
        )
        for ai in _identifiers(identifiers):
            others = tuple(ai[:3] + "n" if other == "=" else other for other in _split(excludes, ","))
            yield Entry(
                ai=ai,
                predefined="*" in marks,
                attribute="?" in marks,
                components=components,
                pattern=pattern,
                checked=any(part.checks for part in components),
                needs=groups,
                excludes=others,
                paths=_paths(path),
            )


ENTRIES: Final[Mapping[str, Entry]] = {entry.ai: entry for entry in _entries()}

# Section 7.8.5 of the General Specifications: how many digits an identifier has follows from its first two.
AI_LENGTHS: Final[Mapping[str, int]] = {ai[:2]: len(ai) for ai in ENTRIES}
