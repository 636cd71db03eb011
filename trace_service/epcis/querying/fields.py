"""Query parameters that look inside events: quantities, sensor data, certificates, extensions, as JSON paths."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec


class Path(NamedTuple):
    """Where to look: `member` of each of `holders` (JSON paths), and how to compare it, EXISTS included."""

    comparison: str
    holders: Sequence[str]
    member: str
    uom: str = ""
    is_number: bool = False
    is_time: bool = False


_QUANTITIES: Final = ("$.quantityList", "$.childQuantityList", "$.inputQuantityList", "$.outputQuantityList")
_ELEMENT: Final = "$.sensorElementList[*]"
_METADATA: Final = f"{_ELEMENT}.sensorMetadata"
_REPORT: Final = f"{_ELEMENT}.sensorReport[*]"
_DECLARATION: Final = "$.errorDeclaration"
_STRINGS: Final[Mapping[str, Sequence[str]]] = {
    "deviceID": (_METADATA, _REPORT),
    "deviceMetadata": (_METADATA, _REPORT),
    "rawData": (_METADATA, _REPORT),
    "dataProcessingMethod": (_METADATA, _REPORT),
    "bizRules": (_METADATA, _REPORT),
    "microorganism": (_REPORT,),
    "chemicalSubstance": (_REPORT,),
    "stringValue": (_REPORT,),
    "booleanValue": (_REPORT,),
    "hexBinaryValue": (_REPORT,),
    "uriValue": (_REPORT,),
    "component": (_REPORT,),
    "exception": (_REPORT,),
    "coordinateReferenceSystem": (_REPORT,),
}
_TIMES: Final[Mapping[str, Sequence[str]]] = {
    "time": (_METADATA, _REPORT),
    "startTime": (_METADATA,),
    "endTime": (_METADATA,),
    "errorDeclarationTime": (_DECLARATION,),
    "errorDeclaration_Time": (_DECLARATION,),
}
_EXISTS: Final[Mapping[str, str]] = {
    "EXISTS_errorDeclaration": _DECLARATION,
    "EXISTS_sensorElementList": _ELEMENT,
    "EXISTS_ilmd": "$.ilmd",
    "EXISTS_certificationInfo": "$.certificationInfo",
}
_AREAS: Final[Mapping[str, str]] = {
    "ILMD_": "$.ilmd",
    "ERROR_DECLARATION_": _DECLARATION,
    "SENSORELEMENT_": _ELEMENT,
    "SENSORMETADATA_": _METADATA,
    "SENSORREPORT_": _REPORT,
    "readPoint_": "$.readPoint",
    "bizLocation_": "$.bizLocation",
    "": "$",
}
_NUMBER = re.compile(
    r"(?P<how>EQ|GT|GE|LT|LE)_(?P<name>quantity|value|minValue|maxValue|meanValue|sDev|percValue|percRank)"
    r"(_(?P<uom>[A-Z0-9]{2,4}))?"
)
_MOMENT = re.compile(rf"(?P<how>GE|LT)_(?P<name>{'|'.join(_TIMES)})")
_STRING = re.compile(rf"EQ_(?P<name>{'|'.join(_STRINGS)}|certificationInfo)")
_EXTENSION = re.compile(
    rf"(?P<how>EQ|GT|GE|LT|LE|EXISTS)_(?P<inner>INNER_)?(?P<area>{'|'.join(filter(None, _AREAS))}|)"
    r"(?P<name>[A-Za-z][\w.-]*:[\w./#-]+)"
)


def path_of(parameter: str) -> Path | None:
    """Return what a parameter looks at, or None where it is none of these."""
    if parameter in _EXISTS:
        return Path("EXISTS", [_EXISTS[parameter]], "")
    if match := _NUMBER.fullmatch(parameter):
        holders = [f"{each}[*]" for each in _QUANTITIES] if match["name"] == "quantity" else [_REPORT]
        return Path(match["how"], holders, f".{match['name']}", uom=match["uom"] or "", is_number=True)
    if match := _MOMENT.fullmatch(parameter):
        member = "declarationTime" if match["name"].startswith("error") else match["name"]
        return Path(match["how"], _TIMES[match["name"]], f".{member}", is_time=True)
    if match := _STRING.fullmatch(parameter):
        return Path("EQ", _STRINGS.get(match["name"], ("$",)), f".{match['name']}")
    match = _EXTENSION.fullmatch(parameter)
    if match is None:
        return None
    base = _AREAS[match["area"]] + (".**{1 to last}" if match["inner"] else "")
    return Path(match["how"], [base], "." + msgspec.json.encode(match["name"]).decode())
