"""EPCIS capture: documents of 500 events, checked and stored, beside a pure-Python validator and an insert a row."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import jsonschema
import jsonschema_rs
import msgspec
import psycopg

from benchmarks.frame import Figure, Outcome, Progress, Target
from benchmarks.load.servers import servers
from trace_service.epcis.capture import Behaviour, capture
from trace_service.epcis.standard.documents import read
from trace_service.epcis.standard.hashing import event_hash
from trace_service.epcis.validation import check, schema
from trace_service.store.connection import connect

_TARGETS: Final = {"capture.events_per_s": Target(">=", 3000)}
_EVENTS: Final = 500
_DOCUMENTS: Final = 12
_ALTERNATIVE_DOCUMENTS: Final = 1
_ROUNDS: Final = 2
_BRAND: Final = "bench"
_GTIN: Final = "09506000134352"
_GLN: Final = "9506000134307"
_INSERT: Final = "INSERT INTO plain_event (event_id, event_time, event) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_PLAIN: Final = (
    "CREATE TABLE plain_event (event_id text PRIMARY KEY, event_time timestamptz NOT NULL, event jsonb NOT NULL)"
)

Capture = Callable[[bytes], None]


def run(progress: Progress) -> Outcome:
    """Capture documents in each way; figures are events a second, the best of two rounds."""
    with servers() as parts, connect(parts.owner_dsn, "bench") as connection:
        _prepare(connection)

        def ours(body: bytes) -> None:
            job = capture(connection, (_BRAND, "bench"), read(body), Behaviour.ROLLBACK)
            if not job.success:
                raise AssertionError(job.problems[:3])

        rates: dict[str, float] = {}
        for name, step, count in (("capture", "arriving", _DOCUMENTS), ("custody", "commissioning", _DOCUMENTS // 4)):
            progress(f"{name}: {count} documents of {_EVENTS} events, {_ROUNDS} rounds")
            rates[name] = max(_rate(ours, list(_documents(f"{name}{turn}", step, count))) for turn in range(_ROUNDS))
        progress("alternative: jsonschema, one INSERT and commit an event")
        plain = _alternative(connection)
        rates["alternative"] = _rate(plain, list(_documents("plain", "arriving", _ALTERNATIVE_DOCUMENTS)))
        documents = list(_documents("parts", "arriving", 4))
        rates["validate"] = _rate(_valid, documents)
        rates["hash"] = _rate(_hashed, documents)
        spent = time.process_time()
        for body in _documents("python", "arriving", 4):
            ours(body)
        spent = time.process_time() - spent
    figures: dict[str, Figure] = {f"{name}.events_per_s": round(rate) for name, rate in rates.items()}
    figures |= {"capture.python_cpu_us_per_event": round(1e6 * spent / (4 * _EVENTS), 1), **_shapes(documents)}
    figures["capture_to_alternative"] = rates["capture"] / rates["alternative"]
    return Outcome(figures, _TARGETS)


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("INSERT INTO trace.brand VALUES (%s, '测', 'Bench')", (_BRAND,))
    connection.execute(
        "INSERT INTO trace.product (gtin, brand, name_zh, name_en, items_per_case, unit_price, unit_weight_g)"
        " VALUES (%s, %s, '酒', 'Liquor', 6, 1, 1)",
        (_GTIN, _BRAND),
    )
    connection.execute(
        "INSERT INTO trace.site (id, kind, name_zh, name_en, gln) VALUES ('factory', 'factory', '厂', 'Factory', %s)",
        (_GLN,),
    )
    connection.execute(_PLAIN)


def _documents(name: str, step: str, count: int) -> Iterator[bytes]:
    """Yield documents whose events resemble those of a warehouse: two items, a place, an order, an extension."""
    for number in range(count):
        events = [_event(f"{name}-{number}-{index}", step, index) for index in range(_EVENTS)]
        yield msgspec.json.encode(
            {
                "@context": [
                    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
                    {"ex": "https://ns.example.com/epcis/"},
                ],
                "type": "EPCISDocument",
                "schemaVersion": "2.0",
                "creationDate": "2026-03-01T12:00:00Z",
                "epcisBody": {"eventList": events},
            }
        )


def _event(name: str, step: str, index: int) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": f"2026-03-01T10:{index // 60 % 60:02d}:{index % 60:02d}.000+08:00",
        "eventTimeZoneOffset": "+08:00",
        "action": "ADD" if step == "commissioning" else "OBSERVE",
        "bizStep": step,
        "disposition": "active" if step == "commissioning" else "in_progress",
        "epcList": [f"https://id.gs1.org/01/{_GTIN}/21/{name}{letter}"[:60] for letter in "AB"],
        "readPoint": {"id": f"https://id.gs1.org/414/{_GLN}"},
        "bizTransactionList": [{"type": "po", "bizTransaction": f"urn:epcglobal:cbv:bt:{_GLN}:{index // 50}"}],
        "ex:shift": "early",
    }


def _rate(way: Capture, bodies: Sequence[bytes]) -> float:
    started = time.perf_counter()
    for body in bodies:
        way(body)
    return len(bodies) * _EVENTS / (time.perf_counter() - started)


def _valid(body: bytes) -> None:
    if check(read(body), strict=True).problems:
        raise AssertionError("the benchmark's own document is refused")


def _hashed(body: bytes) -> None:
    for event in read(body)["epcisBody"]["eventList"]:
        event_hash(event)


def _shapes(bodies: Sequence[bytes]) -> dict[str, Figure]:
    """Return what an event's shape alone costs, by the compiled schema and by Python's reference validator."""
    contents = [msgspec.json.decode(body) for body in bodies]
    compiled = jsonschema_rs.Draft202012Validator(dict(schema()), validate_formats=True)
    reference = jsonschema.Draft202012Validator(dict(schema()), format_checker=jsonschema.FormatChecker())
    found: dict[str, Figure] = {}
    for name, valid, some in (("compiled", compiled.is_valid, contents), ("python", reference.is_valid, contents[:1])):
        began = time.process_time()
        if not all(map(valid, some)):
            raise AssertionError("the benchmark's own document is refused")
        found[f"shape.{name}_us_per_event"] = round(1e6 * (time.process_time() - began) / (len(some) * _EVENTS), 1)
    return found


def _alternative(connection: psycopg.Connection[Any]) -> Capture:
    """Return the obvious way: the same schema in Python's reference validator, then row after row."""
    validator = jsonschema.Draft202012Validator(dict(schema()), format_checker=jsonschema.FormatChecker())

    def plain(body: bytes) -> None:
        document = msgspec.json.decode(body)
        validator.validate(document)
        for event in document["epcisBody"]["eventList"]:
            text = msgspec.json.encode(event).decode()
            connection.execute(_INSERT, (event_hash(event), event["eventTime"], text))

    return plain
