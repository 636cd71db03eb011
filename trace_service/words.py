"""Words, numbers and times in the reader's language and zone."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal

Language: TypeAlias = Literal["zh", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
DEFAULT_ZONE: Final = "Asia/Shanghai"
_LOCALES: Final = {"zh": Locale("zh", "CN", "Hans"), "en": Locale("en", "GB")}
_DATES: Final = {"zh": "y年M月d日", "en": "d MMM y"}
_MONTHS: Final = {"zh": "y年M月", "en": "MMMM y"}
_TIMES: Final = {"zh": "M月d日 HH:mm", "en": "d MMM, HH:mm"}
_TIMES_OF_A_YEAR: Final = {"zh": "y年M月d日 HH:mm", "en": "d MMM y, HH:mm"}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SMALL_KM: Final = 10


@cache
def catalogue(language: Language) -> Mapping[str, str]:
    """Return all words of a language by key."""
    text = (resources.files("trace_service.web") / "i18n" / f"{language}.json").read_text("utf-8")
    words: dict[str, str] = json.loads(text)
    return words


@cache
def zone(name: str) -> ZoneInfo:
    """Return a time zone; a name that is none stands for Asia/Shanghai."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo(DEFAULT_ZONE)


class _Shown(str):
    """A parameter as it is read; `{cases:case|cases}` stands for the form that goes with it.

    English takes its singular for what is written "1", and for nothing else (CLDR: i = 1 and v = 0).
    """

    __slots__ = ()

    def __format__(self, forms: str) -> str:
        one, _, many = forms.partition("|")
        return str(self) if not forms else one if self == "1" else many


@dataclass(frozen=True, slots=True)
class Words:
    """How to speak to one reader."""

    language: Language
    zone: ZoneInfo

    def __call__(self, key: str, **parameters: object) -> str:
        """Return the words of a key with its parameters filled in, and with what follows a number in its form."""
        shown = {
            name: _Shown(self.number(value) if isinstance(value, int) else value) for name, value in parameters.items()
        }
        return catalogue(self.language)[key].format_map(shown)

    def has(self, key: str) -> bool:
        """Tell whether the catalogue has a key, for codes that come from data."""
        return key in catalogue(self.language)

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number with at most so many digits after the point."""
        pattern = "#,##0." + "#" * digits if digits else "#,##0"
        rounded = round(value, digits) + 0  # no minus before a zero
        return format_decimal(rounded, format=pattern, locale=_LOCALES[self.language]).replace("-", "−")

    def percent(self, share: float) -> str:
        """Return a share of one as a percentage."""
        return f"{self.number(share * 100)}%"

    def km(self, metres: float) -> str:
        """Return a distance in kilometres, finer when short."""
        km = abs(metres) / 1000
        return self("distance.km", km=self.number(km, 1 if km < _SMALL_KM else 0))

    def day(self, value: date) -> str:
        """Return a date."""
        return format_date(value, _DATES[self.language], locale=_LOCALES[self.language])

    def month(self, value: datetime) -> str:
        """Return the month of a time, where more would say too much."""
        return format_date(value.astimezone(self.zone), _MONTHS[self.language], locale=_LOCALES[self.language])

    def time(self, value: datetime, *, exact: bool = False) -> str:
        """Return a time in the reader's zone, with the year where it is not this one; exact ones have seconds."""
        here, now = value.astimezone(self.zone), datetime.now(self.zone)
        pattern = (_TIMES if here.year == now.year else _TIMES_OF_A_YEAR)[self.language] + (":ss" if exact else "")
        return format_datetime(value, pattern, tzinfo=self.zone, locale=_LOCALES[self.language])

    def span(self, first: datetime, last: datetime) -> str:
        """Return a period, its day only once."""
        if first.astimezone(self.zone).date() != last.astimezone(self.zone).date():
            return f"{self.time(first)} – {self.time(last)}"
        end = format_datetime(last, "HH:mm", tzinfo=self.zone, locale=_LOCALES[self.language])
        start = self.time(first)
        return start if start.endswith(end) else f"{start}–{end}"

    def utc(self, value: datetime) -> str:
        """Return a time in UTC to the millisecond, as a hint beside the local one."""
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"

    def ago(self, value: datetime) -> str:
        """Return how long ago something was, in its largest unit."""
        seconds = max(0.0, (datetime.now(UTC) - value).total_seconds())
        if seconds < _MINUTE:
            return self("age.now")
        for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE)):
            if seconds >= size:
                return self(f"age.{unit}", count=math.floor(seconds / size))
        return self("age.now")

    def pick(self, zh: str, en: str) -> str:
        """Return the one of two names that is in the reader's language."""
        return zh if self.language == "zh" else en


def numbered(language: Language, number: str, name: str) -> str:
    """Return a name with the number that papers and files know it by, once."""
    if not name or not number or number in name:
        return name or number
    return f"{name}（{number}）" if language == "zh" else f"{name} ({number})"
