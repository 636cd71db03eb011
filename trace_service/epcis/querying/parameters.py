"""Parameters of the standard's event query, from a URL or a named query, as conditions on the stored events."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, LiteralString

import msgspec
from psycopg import sql

from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.fields import Path, path_of
from trace_service.epcis.refusals import QueryParameterError
from trace_service.epcis.rows import key, word

Values = Sequence[str]
_MOST_VALUES: Final = 500
_LARGEST_COUNT: Final = 100_000
_COLUMNS: Final[Mapping[str, str]] = {
    "eventType": "event_type",
    "EQ_action": "action",
    "EQ_bizStep": "biz_step",
    "EQ_disposition": "disposition",
    "EQ_readPoint": "read_point",
    "EQ_bizLocation": "biz_location",
    "EQ_transformationID": "transformation_id",
    "EQ_eventID": "event_id",
    "WD_readPoint": "read_point",
    "WD_bizLocation": "biz_location",
}
_MOMENTS: Final[Mapping[str, str]] = {
    "GE_eventTime": "event_time",
    "LT_eventTime": "event_time",
    "GE_recordTime": "record_time",
    "LT_recordTime": "record_time",
}
# Letters of `trace.epcis_event.terms` that a parameter asks for.
_UNITS: Final[Mapping[str, str]] = {
    "MATCH_epc": "e",
    "MATCH_parentID": "p",
    "MATCH_inputEPC": "i",
    "MATCH_outputEPC": "o",
    "MATCH_anyEPC": "epio",
}
_CLASSES: Final[Mapping[str, str]] = {
    "MATCH_epcClass": "c",
    "MATCH_inputEPCClass": "j",
    "MATCH_outputEPCClass": "k",
    "MATCH_anyEPCClass": "cjk",
}
_WORDS: Final[Mapping[str, str]] = {
    "EQ_persistentDisposition_set": "+",
    "EQ_persistentDisposition_unset": "-",
    "EQ_errorReason": "r",
    "EQ_type": "m",
}
_TYPED: Final[Mapping[str, str]] = {"EQ_bizTransaction_": "t", "EQ_source_": "s", "EQ_destination_": "d"}
_PAGING: Final = frozenset({"perPage", "nextPageToken"})
_CONTROLS: Final = _PAGING | {"orderBy", "orderDirection", "eventCountLimit", "maxEventCount"}
_ORDERS: Final[Mapping[str, str]] = {"eventTime": "event_time", "recordTime": "record_time"}
_COMPARISONS: Final[Mapping[str, LiteralString]] = {"GE": ">=", "LT": "<", "GT": ">", "LE": "<=", "EQ": "="}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T")


@dataclass(frozen=True, slots=True)
class Search:
    """What is asked for: conditions with their values, the order, and how many events at most.

    `name` is a digest of the parameters: two queries that ask for the same have the same. `limit` cuts the answer off,
    `most` refuses an answer that would be longer; each None where it was not given.
    """

    conditions: Sequence[sql.Composable]
    values: Mapping[str, Any]
    name: str = ""
    order: str = "event_time"
    descending: bool = True
    limit: int | None = None
    most: int | None = None


@dataclass(slots=True)
class _Builder:
    prefixes: Mapping[str, str]
    conditions: list[sql.Composable] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def add(self, block: str, column: str = "", comparison: LiteralString = "=", **values: Any) -> None:  # noqa: ANN401
        """Add a named fragment of SQL; `values` become its placeholders."""
        names = {}
        for name, value in values.items():
            own = f"p{len(self.values)}"
            self.values[own] = value
            names[name] = sql.Placeholder(own)
        fragment = sql.SQL(SQL[f"where_{block}"])
        self.conditions.append(
            fragment.format(column=sql.Identifier(column or "id"), comparison=sql.SQL(comparison), **names)
        )

    def terms(self, letters: str, keys: Sequence[str]) -> None:
        """Ask for events that carry one of these terms."""
        self.add("terms", values=[f"{letter}:{each}" for letter in letters for each in keys])


def read_search(parameters: Mapping[str, Values], prefixes: Mapping[str, str]) -> Search:
    """Return what the parameters ask for; raises `QueryParameterError` for one that is unknown or malformed."""
    builder = _Builder(prefixes)
    for name, values in parameters.items():
        if name in _CONTROLS:
            continue
        if not 0 < len(values) <= _MOST_VALUES or any("\0" in each for each in (name, *values)):
            raise QueryParameterError(f"{name[:100]!r}: 1 to {_MOST_VALUES} values are expected, none with U+0000")
        if not any(handler(builder, name, values) for handler in _HANDLERS):
            raise QueryParameterError(f"{name[:100]!r} is no parameter of this query")
    order, descending = _order(parameters)
    limit = _count(parameters, "eventCountLimit")
    most = _count(parameters, "maxEventCount")
    if limit is not None and "orderBy" not in parameters:
        raise QueryParameterError("eventCountLimit needs orderBy")
    if limit is not None and most is not None:
        raise QueryParameterError("eventCountLimit and maxEventCount exclude one another")
    asked = sorted((name, list(values)) for name, values in parameters.items() if name not in _PAGING)
    digest = hashlib.sha256(msgspec.json.encode(asked)).hexdigest()
    return Search(builder.conditions, builder.values, digest, order, descending, limit, most)


def from_url(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Return a URL's parameters with their lists, which pipes part; raises `QueryParameterError` for a repetition."""
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        if name in found:
            raise QueryParameterError(f"{name[:100]} stands twice; write a list with | between its values")
        found[name] = value.split("|")
    return found


def from_query(query: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the parameters of a named query's JSON; raises `QueryParameterError` for values that are no scalars."""
    found = {}
    for name, value in query.items():
        if name == "@context":
            continue
        values = value if isinstance(value, list) else [value]
        if any(isinstance(each, dict | list) for each in values):
            raise QueryParameterError(f"{name[:100]}: a value, or a list of values, is expected")
        if not values:
            raise QueryParameterError(f"{name[:100]}: a value, or a list of values, is expected")
        found[name] = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in values]
    return found


def _columns(builder: _Builder, name: str, values: Values) -> bool:
    column = _COLUMNS.get(name)
    if column is None:
        return False
    if column in {"biz_step", "disposition", "event_type"}:
        values = [word(value, builder.prefixes) or value for value in values]
    elif column in {"read_point", "biz_location"}:
        values = [key(value) for value in values]
    if name.startswith("WD_"):
        # A location's descendants carry its GLN with an extension of their own.
        within = [each.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "/254/%" for each in values]
        builder.add("within", column, values=list(values), within=within)
    else:
        builder.add("among", column, values=list(values))
    return True


def _moments(builder: _Builder, name: str, values: Values) -> bool:
    column = _MOMENTS.get(name)
    if column is not None:
        builder.add("moment", column, _COMPARISONS[name[:2]], value=_time(name, values))
    return column is not None


def _matches(builder: _Builder, name: str, values: Values) -> bool:
    if name in _UNITS:
        builder.terms(_UNITS[name], [_unit(value) for value in values])
    elif name in _CLASSES:
        builder.terms(_CLASSES[name], [key(value) for value in values])
    elif name in _WORDS:
        builder.terms(_WORDS[name], [word(value, builder.prefixes) or value for value in values])
    elif name == "EQ_correctiveEventID":
        builder.terms("x", values)
    else:
        lead = next((lead for lead in _TYPED if name.startswith(lead) and len(name) > len(lead)), None)
        if lead is None:
            return False
        kind = word(name.removeprefix(lead), builder.prefixes)
        builder.terms(_TYPED[lead], [f"{kind}|{key(value)}" for value in values])
    return True


def _unit(uri: str) -> str:
    unit = key(uri)
    return f"{unit}/*" if unit.startswith(("/01/", "/8006/")) and "/21/" not in unit else unit


def _inside(builder: _Builder, name: str, values: Values) -> bool:
    """Ask for what is in the event itself: quantities, sensor data, extensions."""
    path = path_of(name)
    if path is None:
        return False
    if path.comparison == "EXISTS":
        builder.add("exists", paths=[f"{each}{path.member}" for each in path.holders])
    elif path.is_time or (path.comparison != "EQ" and _TIME.match(values[0])):
        paths = [f"{each}{path.member}" for each in path.holders]
        builder.add("times", "", _COMPARISONS[path.comparison], paths=paths, value=_time(name, values))
    else:
        builder.add("paths", paths=list(_filters(path)), vars=_variables(name, path, values))
    return True


def _filters(path: Path) -> Iterator[str]:
    symbol = "==" if path.comparison == "EQ" else _COMPARISONS[path.comparison]
    tests = [f"@{path.member} {symbol} $v[*]", f"@{path.member}.double() {symbol} $n[*]"]
    unit = "@.uom == $uom && " if path.uom else ""
    for holder in path.holders:
        yield f"{holder} ? ({unit}({' || '.join(tests)}))"


def _variables(name: str, path: Path, values: Values) -> str:
    numbers = []
    for value in values:
        try:
            numbers.append(float(value))
        except ValueError:
            if path.is_number:
                raise QueryParameterError(f"{name}: {value[:40]!r} is no number") from None
    plain: list[Any] = [
        *values,
        *({"true": True, "false": False}[each] for each in values if each in {"true", "false"}),
    ]
    return msgspec.json.encode({"v": plain, "n": numbers, "uom": path.uom}).decode()


_HANDLERS: Final[Sequence[Callable[[_Builder, str, Values], bool]]] = (_columns, _moments, _matches, _inside)


def _time(name: str, values: Values) -> datetime:
    try:
        moment = datetime.fromisoformat(values[0].replace(" ", "+"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or len(values) > 1:
        raise QueryParameterError(f"{name}: one time with its zone is expected, such as 2026-03-01T10:00:00Z")
    return moment


def _order(parameters: Mapping[str, Values]) -> tuple[str, bool]:
    by = parameters.get("orderBy", ["eventTime"])[0]
    direction = parameters.get("orderDirection", ["DESC"])[0]
    if by not in _ORDERS:
        raise QueryParameterError(f"orderBy: {by[:40]!r} is none of {', '.join(_ORDERS)}")
    if direction not in {"ASC", "DESC"}:
        raise QueryParameterError(f"orderDirection: {direction[:40]!r} is neither ASC nor DESC")
    return _ORDERS[by], direction == "DESC"


def _count(parameters: Mapping[str, Values], name: str) -> int | None:
    if name not in parameters:
        return None
    count = whole_number(parameters[name][0], _LARGEST_COUNT)
    if count is None:
        raise QueryParameterError(f"{name}: a number from 1 to {_LARGEST_COUNT} is expected")
    return count


def whole_number(text: str, largest: int) -> int | None:
    """Return a number from 1 to `largest`, or None; thousands of digits, which `int` refuses, are none either."""
    if not text.isdecimal() or len(text) > len(str(largest)) or not 1 <= int(text) <= largest:
        return None
    return int(text)
