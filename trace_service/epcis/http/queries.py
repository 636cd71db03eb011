"""Named queries over HTTP, and subscriptions to them."""

from typing import Annotated, Any, Final, TypeVar
from uuid import UUID, uuid4

import msgspec
from fastapi import APIRouter, Path, Request, Response

from contracts.errors import ConfigurationError
from trace_service.epcis.http.events import answer_query
from trace_service.epcis.http.requests import ConnectionOf, DocumentOf, PartnerOf, WishesOf, json_answer
from trace_service.epcis.queries import SQL
from trace_service.epcis.querying.answers import written
from trace_service.epcis.querying.parameters import from_query, read_search
from trace_service.epcis.refusals import (
    AlreadyExistsError,
    NoSuchResourceError,
    SubscriptionControlsError,
    ValidationError,
)
from trace_service.epcis.schedules import cron_text, first_due
from trace_service.keys import KeyWrapper
from trace_service.store.connection import Connection, one
from trace_service.web.context import ConsoleOf
from trace_service.webhooks.addresses import require_deliverable

router = APIRouter(tags=["queries"], prefix="/queries")
_MOST: Final = 200
_Body = TypeVar("_Body")
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]


class _NewQuery(msgspec.Struct, forbid_unknown_fields=True):
    """A query under a name."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
    query: dict[str, Any]


class _NewSubscription(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """Where results go, and when: as events come (`stream`) or by a schedule."""

    dest: Annotated[str, msgspec.Meta(max_length=2000)]
    stream: bool = False
    schedule: dict[str, str] | str | None = None
    signature_token: Annotated[str, msgspec.Meta(min_length=1, max_length=500)] | None = None
    report_if_empty: bool = False


@router.post("")
def add_query(
    partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, document: DocumentOf, request: Request
) -> Response:
    """Keep a query under a name; 409 where the name is taken."""
    new = _converted(dict(document), _NewQuery)
    read_search(from_query(new.query), wishes.prefixes)
    _require_room(connection, partner.brand)
    row = {"brand": partner.brand, "name": new.name, "query": msgspec.json.encode(new.query).decode()}
    if connection.execute(SQL["insert_query"], row).fetchone() is None:
        raise AlreadyExistsError(f"there is a query called {new.name}")
    location = f"{request.scope.get('root_path', '')}/queries/{new.name}"
    return Response(status_code=201, headers={"Location": location})


@router.get("")
def list_queries(partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf) -> Response:
    """List the named queries."""
    rows = connection.execute(SQL["queries"], {"brand": partner.brand}).fetchall()
    return json_answer([_query(row) for row in rows], wishes)


@router.get("/{name}")
def show_query(partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, name: Name) -> Response:
    """Show a named query."""
    return json_answer(_query(_find(connection, partner.brand, name)), wishes)


@router.delete("/{name}")
def drop_query(partner: PartnerOf, connection: ConnectionOf, name: Name) -> Response:
    """Forget a named query and end its subscriptions."""
    if connection.execute(SQL["delete_query"], {"brand": partner.brand, "name": name}).fetchone() is None:
        raise NoSuchResourceError(f"no query is called {name}")
    return Response(status_code=204)


@router.get("/{name}/events")
def run_query(  # noqa: PLR0913, PLR0917  the framework injects them
    request: Request, partner: PartnerOf, connection: ConnectionOf, console: ConsoleOf, wishes: WishesOf, name: Name
) -> Response:
    """Return the events of a named query; the URL may page through them and add parameters."""
    query = msgspec.json.decode(_find(connection, partner.brand, name).query)
    digits = console.settings.company_prefix_digits
    return answer_query(request, connection, (partner.brand, name), wishes, from_query(query), digits=digits)


@router.post("/{name}/subscriptions")
def subscribe(  # noqa: PLR0913, PLR0917  the framework injects them
    request: Request,
    partner: PartnerOf,
    connection: ConnectionOf,
    console: ConsoleOf,
    wishes: WishesOf,
    document: DocumentOf,
    name: Name,
) -> Response:
    """Have a query's new events sent to a webhook, as they come or by a schedule."""
    _find(connection, partner.brand, name)
    new = _converted(dict(document), _NewSubscription)
    if new.stream == (new.schedule is not None):
        raise SubscriptionControlsError("either stream: true or a schedule is needed")
    try:
        require_deliverable(new.dest, console.settings.webhook_networks)
    except ConfigurationError as error:
        raise SubscriptionControlsError(f"dest: {error.message}", advice=error.advice) from error
    schedule = cron_text(new.schedule) if new.schedule is not None else None
    _require_room(connection, partner.brand)
    keys = KeyWrapper(console.settings.key_encryption_key)
    number = uuid4()
    row = {
        "id": number,
        "brand": partner.brand,
        "query": name,
        "dest": new.dest,
        "schedule": schedule,
        "report_if_empty": new.report_if_empty,
        "secret": keys.wrap_text(new.signature_token) if new.signature_token else None,
        "due_at": first_due(schedule),
    }
    connection.execute(SQL["insert_subscription"], row)
    location = f"{request.scope.get('root_path', '')}/queries/{name}/subscriptions/{number}"
    made = _subscription(_find_subscription(connection, partner.brand, name, number))
    return json_answer(made, wishes, 201, {"Location": location})


@router.get("/{name}/subscriptions")
def list_subscriptions(partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, name: Name) -> Response:
    """List a query's subscriptions."""
    _find(connection, partner.brand, name)
    rows = connection.execute(SQL["subscriptions"], {"brand": partner.brand, "query": name, "id": None}).fetchall()
    return json_answer([_subscription(row) for row in rows], wishes)


@router.get("/{name}/subscriptions/{number}")
def show_subscription(
    partner: PartnerOf, connection: ConnectionOf, wishes: WishesOf, name: Name, number: UUID
) -> Response:
    """Show one subscription with what became of its deliveries."""
    return json_answer(_subscription(_find_subscription(connection, partner.brand, name, number)), wishes)


@router.post("/{name}/subscriptions/{number}/restart")
def restart_subscription(partner: PartnerOf, connection: ConnectionOf, name: Name, number: UUID) -> Response:
    """Deliver again, from where a subscription stopped after too many failures."""
    _find_subscription(connection, partner.brand, name, number)
    connection.execute(SQL["restart_subscription"], {"id": number})
    return Response(status_code=204)


@router.delete("/{name}/subscriptions/{number}")
def unsubscribe(partner: PartnerOf, connection: ConnectionOf, name: Name, number: UUID) -> Response:
    """End a subscription."""
    _find_subscription(connection, partner.brand, name, number)
    connection.execute(SQL["delete_subscription"], {"id": number})
    return Response(status_code=204)


def _require_room(connection: Connection, brand: str) -> None:
    counts = one(connection, SQL["counts"], {"brand": brand})
    if max(counts) >= _MOST:
        raise SubscriptionControlsError(f"a brand has at most {_MOST} queries and subscriptions", advice="Drop some.")


def _converted(document: dict[str, Any], into: type[_Body]) -> _Body:
    document.pop("@context", None)
    try:
        return msgspec.convert(document, into)
    except msgspec.ValidationError as error:
        raise ValidationError(str(error)) from error


def _find(connection: Connection, brand: str, name: str) -> Any:  # noqa: ANN401  a row
    row = connection.execute(SQL["query"], {"brand": brand, "name": name}).fetchone()
    if row is None:
        raise NoSuchResourceError(f"no query is called {name}")
    return row


def _find_subscription(connection: Connection, brand: str, name: str, number: UUID) -> Any:  # noqa: ANN401  a row
    row = connection.execute(SQL["subscriptions"], {"brand": brand, "query": name, "id": number}).fetchone()
    if row is None:
        raise NoSuchResourceError("no such subscription")
    return row


def _query(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row
    return {"name": row.name, "createdAt": written(row.created_at), "query": msgspec.Raw(row.query.encode())}


def _subscription(row: Any) -> dict[str, Any]:  # noqa: ANN401  a row
    return {
        "subscriptionID": str(row.id),
        "queryName": row.query,
        "dest": row.dest,
        "stream": row.schedule is None,
        **({"schedule": row.schedule} if row.schedule else {}),
        "reportIfEmpty": row.report_if_empty,
        "createdAt": written(row.created_at),
        "state": row.state,
        "delivered": row.delivered,
        "lastNotifiedAt": written(row.delivered_at) if row.delivered_at else None,
        "attempts": row.attempts,
        "error": row.error,
    }
