"""Subscriptions: what a receiver gets, when it refuses, and when nothing comes."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import TestDatabase
from epcis_parts import WAREHOUSE_GLN, Interface, event, send, serving
from receiving import Answer, Posted, receiving
from waiting import PATIENCE, wait_for

from contracts.webhooks import verify
from trace_service.epcis.deliverer import SubscriptionDeliverer
from trace_service.epcis.schedules import cron_text, next_time
from trace_service.epcis.validation import check
from trace_service.keys import KeyWrapper
from trace_service.store.connection import connect
from trace_service.webhooks.patience import Patience

SECRET = "between us two"


@dataclass
class Receiver:
    """A webhook on this machine: what came, and what it answers."""

    url: str = ""
    status: int = 200
    bodies: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def serials(self) -> list[str]:
        """Return the serials of all events that came, in order."""
        return [
            found["epcList"][0].rpartition("/")[2]
            for body, _ in self.bodies
            for found in json.loads(body)["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
        ]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a receiver on a busy machine the time that it takes: one that is late is asked once more."""
    monkeypatch.setattr("trace_service.epcis.deliverer._ANSWER_SECONDS", PATIENCE)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    state = Receiver()

    def take(posted: Posted) -> Answer:
        state.bodies.append((posted.body, posted.headers))
        return Answer(state.status)

    with receiving(take) as url:
        state.url = f"{url}/events"
        yield state


@pytest.fixture
def interface(database: TestDatabase) -> Iterator[Interface]:
    with serving(database) as made:
        made.client.post("/queries", json={"name": "arrivals", "query": {"EQ_bizStep": ["arriving"]}})
        yield made


@pytest.fixture
def deliver(interface: Interface) -> Callable[[], None]:
    """Serve every due subscription once; what failed before is due at once."""
    settings = interface.settings

    def once() -> None:
        with connect(interface.database.owner_dsn, "tests") as connection:
            # A session has its subscription until the server has ended it, a little after it was closed.
            sessions = (
                "SELECT FROM pg_stat_activity"
                " WHERE application_name = 'epcis subscription' AND datname = current_database()"
            )
            wait_for(lambda: not connection.execute(sessions).fetchall())
            connection.execute("UPDATE trace.epcis_subscription SET due_at = now()")
        patience = Patience(attempts=3, first=0.001, longest=0.001)
        keys = KeyWrapper(settings.key_encryption_key)

        async def work() -> None:
            deliverer = SubscriptionDeliverer(interface.database.trace_dsn, keys, settings.webhook_networks, patience)
            await deliverer.round()
            await deliverer.close()

        asyncio.run(work())

    return once


def _subscribe(interface: Interface, receiver: Receiver, **more: Any) -> str:  # noqa: ANN401  JSON
    wanted = {"dest": receiver.url, "signatureToken": SECRET, **({"stream": True} if "schedule" not in more else {})}
    answer = interface.client.post("/queries/arrivals/subscriptions", json=wanted | more)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["Location"].removeprefix("/epcis"))


def _arrivals(*serials: str) -> list[dict[str, Any]]:
    return [event(serial, "arriving", WAREHOUSE_GLN) for serial in serials]


def test_a_subscription_whose_secret_or_query_is_broken_fails_alone(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    foreign, odd, _ = (_subscribe(interface, receiver) for _ in range(3))
    with connect(interface.database.owner_dsn, "tests") as connection:
        for address, change in ((foreign, "secret = '\\x00'"), (odd, "dest = 'http://127.0.0.1:x/'")):
            number = [address.rpartition("/")[2]]
            connection.execute(f"UPDATE trace.epcis_subscription SET {change} WHERE id = %s", number)  # noqa: S608
    send(interface.client, *_arrivals("N1"))
    deliver()
    assert receiver.serials() == ["N1"], "the sound one"
    with connect(interface.database.owner_dsn, "tests") as connection:
        found = connection.execute("SELECT id::text, error FROM trace.epcis_subscription WHERE error IS NOT NULL")
        why = {f"{name}": error for name, error in found}
    assert why[foreign.rpartition("/")[2]].startswith("CONFIGURATION: ")
    assert why[odd.rpartition("/")[2]] == "an error of this service: ValueError"


def test_a_stream_brings_what_is_new_signed_and_once(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    send(interface.client, *_arrivals("OLD"))
    address = _subscribe(interface, receiver)
    send(interface.client, event("C1", "commissioning"), *_arrivals("N1", "N2"))
    deliver()
    send(interface.client, *_arrivals("N3"))
    deliver()
    deliver()
    assert receiver.serials() == ["N1", "N2", "N3"]
    body, headers = receiver.bodies[0]
    verify(SECRET, body, headers["GS1-Signature"], datetime.now(UTC).timestamp())
    assert check(json.loads(body), strict=True).problems == []
    shown = interface.client.get(address).json()
    assert (shown["delivered"], shown["state"]) == (3, "active")


def test_the_cursor_waits_for_a_receiver_and_gives_up_in_the_end(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    address = _subscribe(interface, receiver)
    send(interface.client, *_arrivals("N1"))
    receiver.status = 500
    deliver()
    assert interface.client.get(address).json()["error"] == "answered 500"
    receiver.status = 200
    deliver()
    assert receiver.serials() == ["N1", "N1"]
    send(interface.client, *_arrivals("N2"))
    receiver.status = 503
    for _ in range(4):
        deliver()
    assert len(receiver.bodies) == 5
    assert interface.client.get(address).json()["state"] == "dead"
    receiver.status = 200
    assert interface.client.post(f"{address}/restart").status_code == 204
    deliver()
    assert receiver.serials()[-1] == "N2"
    assert interface.client.delete(address).status_code == 204
    assert interface.client.get(address).status_code == 404


def test_a_subscription_goes_on_where_it_was_in_a_database_restored_as_the_documentation_says(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    send(interface.client, *_arrivals("OLD"))
    _subscribe(interface, receiver)
    send(interface.client, *_arrivals("A", "B"))
    deliver()
    send(interface.client, *_arrivals("C"))
    documented = (Path(__file__).parents[2] / "docs" / "deployment.md").read_text("utf-8")
    statements = re.findall(r"-c '((?:UPDATE|WITH) [^']*)'", documented)
    assert len(statements) == 3
    with connect(interface.database.owner_dsn, "tests") as connection:
        # Another cluster begins to count anew: what is restored is numbered far ahead of it.
        ahead = "SET transaction = (transaction::text::bigint + 10^9::bigint)::text::xid8"
        connection.execute(f"UPDATE trace.epcis_event {ahead}")
        connection.execute(f"UPDATE trace.epcis_subscription {ahead}")
        for statement in statements:
            connection.execute(statement)
    deliver()
    assert receiver.serials() == ["A", "B", "C"]
    send(interface.client, *_arrivals("D"))
    deliver()
    assert receiver.serials() == ["A", "B", "C", "D"]


def test_a_schedule_may_report_that_nothing_came(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    address = _subscribe(interface, receiver, schedule={"minute": "0", "hour": "2"}, reportIfEmpty=True)
    deliver()
    assert len(receiver.bodies) == 1
    assert receiver.serials() == []
    assert interface.client.get(address).json()["schedule"] == "0 2 * * *"


def test_a_subscription_needs_an_address_and_a_time_that_comes(interface: Interface) -> None:
    here = {"dest": "http://127.0.0.1:1/x"}
    for wanted in (
        here,
        {**here, "stream": True, "schedule": "0 * * * *"},
        {**here, "schedule": "every day"},
        {**here, "schedule": "0 0 30 2 *"},
        {**here, "schedule": {"second": "5"}},
        {"dest": "https://169.254.169.254/x", "stream": True},
        {"dest": "ftp://example.com/x", "stream": True},
    ):
        answer = interface.client.post("/queries/arrivals/subscriptions", json=wanted)
        assert (answer.status_code, answer.json()["type"]) == (400, "epcisException:SubscriptionControlsException")
    assert interface.rival.get("/queries/arrivals/subscriptions").status_code == 404


def test_schedules_are_cron_in_utc() -> None:
    text = cron_text({"minute": "30", "hour": "[1-2]", "dayOfWeek": "1"})
    assert text == "30 1-2 * * 1"
    assert next_time(text, datetime(2026, 3, 2, 1, 31, tzinfo=UTC)) == datetime(2026, 3, 2, 2, 30, tzinfo=UTC)


def test_a_query_that_fails_holds_nobody_elses_events_up(
    interface: Interface, receiver: Receiver, deliver: Callable[[], None]
) -> None:
    dated = {"name": "dated", "query": {"LT_ex:best": "2027-01-01T00:00:00Z"}}
    assert interface.client.post("/queries", json=dated).status_code == 201
    bad = interface.client.post("/queries/dated/subscriptions", json={"dest": receiver.url, "stream": True})
    _subscribe(interface, receiver)
    # A query that a version before this one may have taken.
    with connect(interface.database.owner_dsn, "tests") as connection:
        connection.execute(
            """UPDATE trace.epcis_query SET query = '{"eventCountLimit": "many"}' WHERE name = 'dated'"""
        )
    send(interface.client, *_arrivals("N1", "N2"))
    deliver()
    assert receiver.serials() == ["N1", "N2"]
    shown = interface.client.get(bad.headers["Location"].removeprefix("/epcis")).json()
    assert shown["error"].startswith("the query fails: ")
    assert shown["attempts"] == 1
