"""The days that move demand in China: statutory holidays with their bridges, make-up working days, and shopping days.

The dates are those of the State Council as the `holidays` package keeps them; what lies further ahead than its notice
is computed from the lunar calendar alone, without bridges.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from holidays import country_holidays

WORKING_WEEKEND: Final = "make_up_working_day"
_NAMES: Final = (
    ("Chinese New Year", "spring_festival"),
    ("Mid-Autumn", "mid_autumn"),
    ("National Day", "national_day"),
    ("Labor Day", "labour_day"),
    ("Dragon Boat", "dragon_boat"),
    ("Tomb-Sweeping", "qingming"),
    ("New Year's Day", "new_year"),
)
_BRIDGE: Final = "Day off"
_LONGEST_BRIDGE: Final = 4
_GIFTS_BEFORE: Final = {"spring_festival": 14, "mid_autumn": 10}
_SHOPPING: Final = {"double_11": (11, 9, 11), "mid_year_618": (6, 16, 18)}
"""Month, first and last day."""
PRIORS: Final[Mapping[str, float]] = {
    "spring_festival": 0.8, "before_spring_festival": 1.5, "mid_autumn": 1.2, "before_mid_autumn": 1.3,
    "national_day": 1.15, "labour_day": 1.1, "dragon_boat": 1.1, "new_year": 1.1, "qingming": 1.0, "double_11": 1.3,
    "mid_year_618": 1.2, WORKING_WEEKEND: 1.0,
}  # fmt: skip
"""Factors on demand that are assumed until sales say otherwise, worth as much as two days of evidence."""


def festivals(first: date, last: date) -> dict[date, str]:
    """Return the name of each special day from `first` to `last`."""
    years = range(first.year - 1, last.year + 2)
    listed = country_holidays("CN", years=years, language="en_US")
    found = {day: name for day in sorted(listed) for name in [_name(str(listed[day]))] if name}
    _bridge(found, {day for day in listed if _BRIDGE in str(listed[day])})
    for name, days in _GIFTS_BEFORE.items():
        for day in [each for each, own in found.items() if own == name and found.get(each - timedelta(1)) != name]:
            for back in range(1, days + 1):
                found.setdefault(day - timedelta(back), f"before_{name}")
    for name, (month, begin, end) in _SHOPPING.items():
        for year in years:
            for back in range(end - begin + 1):
                found.setdefault(date(year, month, end) - timedelta(back), name)
    # A day before a festival may be a working Saturday as well; that it is worked on says less than what it precedes.
    for day in listed.weekend_workdays:
        found.setdefault(day, WORKING_WEEKEND)
    return {day: found[day] for day in sorted(found) if first <= day <= last}


def _name(text: str) -> str | None:
    return next((name for words, name in _NAMES if words in text), None)


def _bridge(found: dict[date, str], off: set[date]) -> None:
    """Give days off in lieu, and the weekends within a holiday, the name of the festival that they belong to."""
    for day in sorted(off):
        near = [day + timedelta(sign * each) for each in range(1, _LONGEST_BRIDGE + 1) for sign in (-1, 1)]
        own = next((found[each] for each in near if each in found), None)
        if own is not None:
            found.setdefault(day, own)
    for day in sorted(found):
        for length in (2, 3):
            if found.get(day + timedelta(length)) == found[day]:
                for between in range(1, length):
                    found.setdefault(day + timedelta(between), found[day])
