r"""The wire contract as an AsyncAPI 3 document, made from the types that decode it: `python -m contracts.asyncapi`.

AsyncAPI knows headers and a payload. MQTT 3.1.1 has no headers: here they are the fields of the payload's first line,
and the document's payload is the JSON array after it.
"""

import sys
from typing import Any, Final

import msgspec

from contracts.errors import (
    ChecksumError,
    ContentMismatchError,
    MessageError,
    TimestampError,
    TopicError,
)
from contracts.messages import MAX_BODY_BYTES, MAX_EVENTS, MAX_SEQ, Ack, Pause, Resend, event_types
from contracts.topics import PARTITIONS, Kind

_Json = dict[str, Any]
_VERSION: Final = "1.0.0"
_NAME: Final = r"^[A-Za-z0-9_-]{1,64}$"
_SUMMARIES: Final = {
    Kind.SCAN: "Codes that were read.",
    Kind.STOCK: "What shelf channels hold.",
    Kind.ENV: "Climate.",
    Kind.STATUS: "How the device is; also its last will, with count 0.",
}
_REFUSALS: Final = (
    MessageError,
    ChecksumError,
    TimestampError,
    ContentMismatchError,
    TopicError,
)
_LINE: Final = (
    "The payload is one header line, `CF1 <boot> <seq> <count> <sent_at> <crc>` and a newline (0x0A), then a JSON array"
    f" of `count` events in UTF-8, at most {MAX_EVENTS} and {MAX_BODY_BYTES} bytes. `headers` describes the fields of"
    " that line, `payload` the array."
)
_DESCRIPTION: Final = (
    "Devices publish numbered events over MQTT 3.1.1 at QoS 1 and forget each only when it is acknowledged as committed"
    " or refused: the broker's PUBACK is no durability. Number from 1 without a break, for each new memory of the"
    " device under a new random `boot`; keep what is sent until it is acknowledged, at most 100 events unacknowledged,"
    " and send it again with the same number and bytes after 30 s, then doubling. What is sent twice is stored once."
)


def document() -> _Json:
    """Return the document; equal input gives equal output, key order included."""
    types = [*event_types().values(), Ack, Resend, Pause]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Codefence devices",
            "version": _VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": {**{kind.value: _event_channel(kind) for kind in Kind}, "ack": _ack(), "command": _command()},
        "operations": _operations(),
        "components": {
            "messages": _messages(),
            "schemas": {name: _portable(schema) for name, schema in schemas.items()} | {"Header": _header()},
            "parameters": _parameters(),
            "securitySchemes": {"password": {"type": "userPassword", "description": "The device's name and password."}},
        },
    }


def encoded() -> bytes:
    """Return the document as it is committed."""
    return msgspec.json.format(msgspec.json.encode(document()), indent=2) + b"\n"


def _server() -> _Json:
    return {
        "host": "mqtt.example.com:8883",
        "protocol": "secure-mqtt",
        "protocolVersion": "3.1.1",
        "security": [{"$ref": "#/components/securitySchemes/password"}],
    }


def _parameters() -> _Json:
    return {
        "site": {"description": f"Where the device is registered; matches {_NAME}."},
        "device": {"description": f"The device's name in the registry; matches {_NAME}."},
        "partition": {
            "description": f"CRC-32 of the device's name in UTF-8, modulo {PARTITIONS}.",
            "enum": [str(number) for number in range(PARTITIONS)],
        },
    }


def _refer(section: str, *names: str) -> _Json:
    return {name: {"$ref": f"#/components/{section}/{name}"} for name in names}


def _event_channel(kind: Kind) -> _Json:
    return {
        "address": f"v1/{{site}}/p{{partition}}/{{device}}/{kind.value}",
        "description": _SUMMARIES[kind],
        "parameters": _refer("parameters", "site", "partition", "device"),
        "messages": _refer("messages", f"{kind.value}Events"),
    }


def _ack() -> _Json:
    return {
        "address": "v1/{site}/ack/{device}",
        "description": "What is committed or refused for good; nobody but ingest may publish here.",
        "parameters": _refer("parameters", "site", "device"),
        "messages": _refer("messages", "ack"),
    }


def _command() -> _Json:
    return {
        "address": "v1/{site}/cmd/{device}",
        "description": "Requests to the device; nobody but ingest may publish here.",
        "parameters": _refer("parameters", "site", "device"),
        "messages": _refer("messages", "resend", "pause"),
    }


def _operations() -> _Json:
    """Return what a device does: it sends events and receives the rest."""
    sends = {f"send{kind.value.capitalize()}": _operation("send", kind.value) for kind in Kind}
    return {**sends, "receiveAck": _operation("receive", "ack"), "receiveCommand": _operation("receive", "command")}


def _operation(action: str, channel: str) -> _Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "bindings": {"mqtt": {"qos": 1, "retain": False, "bindingVersion": "0.2.0"}} if action == "send" else {},
    }


def _messages() -> _Json:
    events = {
        f"{kind.value}Events": {
            "name": f"{kind.value}Events",
            "contentType": "application/vnd.codefence.cf1",
            "summary": _SUMMARIES[kind],
            "description": _LINE,
            "headers": {"$ref": "#/components/schemas/Header"},
            "payload": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_EVENTS,
                "items": {"$ref": f"#/components/schemas/{type_.__name__}"},
            },
        }
        for kind, type_ in event_types().items()
    }
    reasons = ", ".join(error.code for error in _REFUSALS)
    answers = {
        "ack": ("Ack", f"Ranges of numbers, inclusive, that need not be sent again. Reasons of refusals: {reasons}."),
        "resend": ("Resend", "Send these numbers again, or say that they are dropped."),
        "pause": ("Pause", "Publish nothing until then. Retained; an empty payload lifts it."),
    }
    return events | {
        name: {"name": name, "summary": summary, "payload": {"$ref": f"#/components/schemas/{schema}"}}
        for name, (schema, summary) in answers.items()
    }


def _header() -> _Json:
    return {
        "title": "Header",
        "description": "The fields of the first line, in this order, each parted by one space, after the word CF1.",
        "type": "object",
        "required": ["boot", "seq", "count", "sent_at", "crc"],
        "properties": {
            "boot": {
                "type": "string",
                "pattern": "^[0-9a-f]{32}$",
                "description": "128 random bits, drawn anew whenever the device may have forgotten its numbers.",
            },
            "seq": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_SEQ,
                "description": "Number of the first event, from 1; the others follow it. One sequence for all kinds.",
            },
            "count": {
                "type": "integer",
                "minimum": 0,
                "maximum": MAX_EVENTS,
                "description": "How many events follow; 0 for a last will, whose single status is in no sequence.",
            },
            "sent_at": {"type": "integer", "minimum": 0, "description": "Milliseconds since the epoch."},
            "crc": {
                "type": "string",
                "pattern": "^[0-9a-f]{8}$",
                "description": "CRC-32 of everything after the line.",
            },
        },
    }


def _portable(value: object) -> object:
    """Return a schema in AsyncAPI's own dialect, draft 7 of JSON Schema, with patterns that are not Python's alone."""
    match value:
        case {"prefixItems": members, **rest}:
            tuple_: dict[object, object] = {"items": members, "additionalItems": rest.pop("items", False)}
            return _portable(rest | tuple_)
        case dict():
            return {name: _portable(part) for name, part in value.items()}
        case list() | tuple():
            return [_portable(part) for part in value]
        case str():
            return value.replace(r"\Z", "$")
        case _:
            return value


if __name__ == "__main__":
    sys.stdout.buffer.write(encoded())
