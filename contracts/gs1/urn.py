"""EPC URNs, as EPCIS 1.2 and RFID write identifiers: read into elements, and written from them.

Source: GS1 EPC Tag Data Standard 2.2, sections 6 and 7. A URN parts the company prefix from the rest, which no other
form does: to write one, the prefix's length must be known.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from contracts.gs1.errors import Gs1Error, error_of
from contracts.gs1.keys import check_digit
from contracts.gs1.table import ENTRIES
from contracts.gs1.together import Element
from contracts.gs1.values import find_fault

SCHEME: Final = "urn:epc:"
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_RESERVED: Final = re.compile(r'["#%&/<>?]')
_PREFIX: Final = re.compile(r"[0-9]{6,12}")
_DIGITS: Final = re.compile(r"[0-9]*")
_NO_EXTENSION: Final = "0"
_APPENDED: Final = "+"


class _Form(NamedTuple):
    """How a URN's fields become elements.

    `digits` are those of prefix and reference together, without check digit; 0 where the reference is free text.
    `indicator`: the reference's first digit stands before the prefix. `extension`: the AI of the last field, or + where
    that field follows the check digit. `lead` precedes the digits, `pieces` are two more digits each after them.
    """

    key: str
    digits: int
    indicator: bool = False
    extension: str = ""
    lead: str = ""
    pieces: int = 0


_FORMS: Final[Mapping[str, _Form]] = {
    "id:sgtin": _Form("01", 13, indicator=True, extension="21"),
    "id:itip": _Form("8006", 13, indicator=True, extension="21", pieces=2),
    "id:upui": _Form("01", 13, indicator=True, extension="235"),
    "class:lgtin": _Form("01", 13, indicator=True, extension="10"),
    "id:sscc": _Form("00", 17, indicator=True),
    "id:sgln": _Form("414", 12, extension="254"),
    "id:pgln": _Form("417", 12),
    "id:grai": _Form("8003", 12, extension=_APPENDED, lead="0"),
    "id:giai": _Form("8004", 0),
    "id:gsrn": _Form("8018", 17),
    "id:gsrnp": _Form("8017", 17),
    "id:gdti": _Form("253", 12, extension=_APPENDED),
    "id:sgcn": _Form("255", 12, extension=_APPENDED),
    "id:cpi": _Form("8010", 0, extension="8011"),
    "id:gsin": _Form("402", 16),
    "id:ginc": _Form("401", 0),
}


class _Field(NamedTuple):
    text: str
    position: int


def urn_elements(text: str) -> list[Element]:
    """Return the elements that the URN means."""
    name_at = len(SCHEME)
    colon = text.find(":", text.find(":", name_at) + 1)
    form = _FORMS.get(text[name_at:colon]) if colon > 0 else None
    if form is None:
        raise Gs1Error("URN_SCHEME", "this is no EPC of GS1's kinds", position=name_at)
    wanted = 2 + form.pieces + bool(form.extension)
    fields = _fields(text, colon + 1, wanted)
    prefix, reference = fields[0], fields[1]
    if _PREFIX.fullmatch(prefix.text) is None:
        raise Gs1Error("URN_PREFIX", "a company prefix has 6 to 12 digits", position=prefix.position)
    key = _key(form, prefix, reference) + "".join(field.text for field in fields[2 : 2 + form.pieces])
    extension = fields[-1] if form.extension else None
    if extension is not None and form.extension == _APPENDED:
        key += _unescaped(extension)
    elements = [_element(form.key, key, prefix.position, len(prefix.text))]
    if extension is not None and form.extension != _APPENDED and not _is_absent(form, extension):
        elements.append(_element(form.extension, _unescaped(extension), extension.position, 0))
    return elements


def _fields(text: str, start: int, wanted: int) -> list[_Field]:
    fields = []
    position = start
    parts = text[start:].split(".", wanted - 1)
    for part in parts:
        fields.append(_Field(part, position))
        position += len(part) + 1
    if len(fields) < wanted:
        raise Gs1Error("URN_FIELDS", f"{wanted} fields are due, parted by full stops", position=len(text))
    return fields


def _key(form: _Form, prefix: _Field, reference: _Field) -> str:
    if not form.digits:
        if not reference.text:
            raise Gs1Error("VALUE_EMPTY", "the reference is empty", position=reference.position)
        return prefix.text + _unescaped(reference)
    body = prefix.text + reference.text
    if form.indicator:
        body = reference.text[:1] + prefix.text + reference.text[1:]
    if _DIGITS.fullmatch(reference.text) is None:
        raise Gs1Error("NOT_A_DIGIT", "the reference consists of digits", position=reference.position)
    if len(body) != form.digits or (form.indicator and not reference.text):
        message = f"prefix and reference have {form.digits} digits together, not {len(body)}"
        raise Gs1Error("URN_LENGTH", message, position=reference.position)
    return form.lead + body + str(check_digit(body))


def _is_absent(form: _Form, extension: _Field) -> bool:
    return form.extension == "254" and extension.text == _NO_EXTENSION


def _unescaped(field: _Field) -> str:
    found = _RESERVED.search(_ESCAPE.sub("", field.text))
    if found:
        raise Gs1Error(
            "URN_CHARACTER", f"{found[0]!r} must be escaped", position=field.text.find(found[0]) + field.position
        )
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), field.text)


def _element(ai: str, value: str, position: int, known_good: int) -> Element:
    """Check what was put together; the digits before `known_good` were checked where they stand."""
    fault = find_fault(ENTRIES[ai], value)
    if fault is not None:
        raise error_of(fault, position + max(fault.offset - known_good, 0))
    return Element(ai, value, position, position)


def urn(elements: Iterable[tuple[str, str]], prefix_length: int) -> str:
    """Return the EPC URN of one thing, or of a lot; raises `Gs1Error` where there is none."""
    values = dict(elements)
    if not 6 <= prefix_length <= 12:  # noqa: PLR2004  the length of a company prefix
        raise Gs1Error("URN_PREFIX", f"a company prefix has 6 to 12 digits, not {prefix_length}")
    for name, form in _FORMS.items():
        optional = form.extension in {"", _APPENDED, "254"}
        if form.key in values and (optional or form.extension in values):
            return f"{SCHEME}{name}:{_written(form, values, prefix_length)}"
    raise Gs1Error("URN_SCHEME", "no EPC URN names this: a key with its serial or lot is needed")


def _written(form: _Form, values: Mapping[str, str], size: int) -> str:
    value = values[form.key].removeprefix(form.lead)
    parts: list[str]
    if form.digits:
        body, rest = value[: form.digits], value[form.digits + 1 :]
        first = body[:1] if form.indicator else ""
        body = body[len(first) :]
        parts = [body[:size], first + body[size:]]
    else:
        rest = ""
        parts = [value[:size], _escaped(value[size:])]
        if not parts[1] or not parts[0].isdigit():
            raise Gs1Error("URN_PREFIX", f"({form.key}) has no company prefix of {size} digits")
    parts += [rest[index : index + 2] for index in range(0, 2 * form.pieces, 2)]
    if form.extension == _APPENDED:
        if not rest:
            raise Gs1Error("URN_SCHEME", f"({form.key}) names a kind, not one thing: its serial part is missing")
        parts.append(_escaped(rest))
    elif form.extension:
        parts.append(_escaped(values.get(form.extension, _NO_EXTENSION)))
    return ".".join(parts)


def _escaped(value: str) -> str:
    return _RESERVED.sub(lambda match: f"%{ord(match[0]):02X}", value)
