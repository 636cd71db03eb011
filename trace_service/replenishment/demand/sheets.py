"""Tables as spreadsheets save them: in which encoding, between which characters, with which dates."""

import gzip
import re
from datetime import date
from pathlib import Path
from typing import Final, TextIO, cast

UTF8: Final = "utf-8-sig"
_DELIMITERS: Final = ",;\t"
_YEAR_FIRST: Final = re.compile(r"(\d{4})[/.-](\d{1,2})[/.-](\d{1,2})(?!\d)")


def encodings(path: Path) -> tuple[str, ...]:
    """Return what a file may be encoded in, the likeliest first; raises OSError."""
    with path.open("rb") as stream:
        return ("utf-16",) if stream.read(2) in {b"\xff\xfe", b"\xfe\xff"} else (UTF8, "gb18030")


def opened(path: Path, encoding: str) -> TextIO:
    """Open a table, gzipped if its name says so; reading it raises UnicodeDecodeError for another encoding."""
    if path.suffix == ".gz":
        return cast("TextIO", gzip.open(path, "rt", encoding=encoding, newline=""))
    return path.open(encoding=encoding, newline="")


def delimiter(first_line: str) -> str:
    """Return what stands between the columns that a first line names."""
    return max(_DELIMITERS, key=first_line.count)


def with_iso_day(text: str) -> str:
    """Return a text that begins with a day such as 2011/8/18 with it as 2011-08-18; another one as it is."""
    return _YEAR_FIRST.sub(lambda found: "{}-{:0>2}-{:0>2}".format(*found.groups()), text, count=1)


def day_of(text: str) -> date:
    """Return the day that a cell names; raises ValueError."""
    return date.fromisoformat(with_iso_day(text.strip()))
