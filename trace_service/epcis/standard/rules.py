"""Which fields each type of event has, and which it needs (EPCIS 2.0, section 7.4)."""

from collections.abc import Mapping
from typing import Final, NamedTuple


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


class EventRule(NamedTuple):
    """Fields beyond the common ones.

    Of each group in `one_of` a field must hold something, unless the action is among `unless`.
    """

    fields: frozenset[str]
    required: tuple[str, ...] = ()
    one_of: tuple[tuple[str, ...], ...] = ()
    unless: frozenset[str] = frozenset()


COMMON: Final = _names(
    "@context type eventTime recordTime eventTimeZoneOffset eventID errorDeclaration certificationInfo bizStep "
    "disposition persistentDisposition readPoint bizLocation bizTransactionList sourceList destinationList "
    "sensorElementList comment"
)
_CHILDREN: Final = (("childEPCs", "childQuantityList"),)
EVENTS: Final[Mapping[str, EventRule]] = {
    "ObjectEvent": EventRule(
        _names("epcList quantityList action ilmd"),
        ("action",),
        (("epcList", "quantityList", "sensorElementList"),),
    ),
    "AggregationEvent": EventRule(
        _names("parentID childEPCs childQuantityList action"),
        ("action",),
        _CHILDREN,
        _names("DELETE"),
    ),
    "AssociationEvent": EventRule(
        _names("parentID childEPCs childQuantityList action"),
        ("action", "parentID"),
        _CHILDREN,
        _names("DELETE"),
    ),
    "TransactionEvent": EventRule(
        _names("parentID epcList quantityList action"),
        ("action", "bizTransactionList"),
        (("epcList", "quantityList", "sensorElementList"),),
        _names("DELETE"),
    ),
    "TransformationEvent": EventRule(
        _names("inputEPCList inputQuantityList outputEPCList outputQuantityList transformationID ilmd"),
        (),
        (("inputEPCList", "inputQuantityList"), ("outputEPCList", "outputQuantityList")),
    ),
}
# What may stand inside an element besides extensions.
ELEMENTS: Final[Mapping[str, frozenset[str]]] = {
    "readPoint": _names("id"),
    "bizLocation": _names("id"),
    "bizTransactionList": _names("type bizTransaction"),
    "sourceList": _names("type source"),
    "destinationList": _names("type destination"),
    "persistentDisposition": _names("set unset"),
    "errorDeclaration": _names("declarationTime reason correctiveEventIDs"),
    "sensorElementList": _names("sensorMetadata sensorReport"),
    "sensorMetadata": _names("time startTime endTime deviceID deviceMetadata rawData dataProcessingMethod bizRules"),
    "sensorReport": _names(
        "type exception deviceID deviceMetadata rawData dataProcessingMethod bizRules time microorganism "
        "chemicalSubstance coordinateReferenceSystem value component stringValue booleanValue hexBinaryValue uriValue "
        "minValue maxValue meanValue sDev percRank percValue uom"
    ),
    "ilmd": _names(""),
}
DOCUMENT: Final = _names(
    "@context id type schemaVersion creationDate instanceIdentifier sender receiver epcisHeader epcisBody"
)
EPC_LISTS: Final = _names("epcList childEPCs inputEPCList outputEPCList")
QUANTITY_LISTS: Final = _names("quantityList childQuantityList inputQuantityList outputQuantityList")
