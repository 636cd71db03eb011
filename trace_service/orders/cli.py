"""`codefence orders`: outbound orders from files, and what became of them."""

from pathlib import Path
from typing import Final

import click
import msgspec

from contracts.wording import counted
from trace_service.bootstrap import load_settings
from trace_service.cli_parts import echo_rows, reported
from trace_service.orders import cli_stations, service
from trace_service.orders.csv_import import read_orders
from trace_service.orders.model import Order, State
from trace_service.orders.reconcile import reconcile as reconcile_order
from trace_service.store.connection import Connection, connect

_ACTOR: Final = "cli"
_BRAND = click.option("--brand", required=True, help="The brand whose orders they are.")
_JSON = click.option("--json", "as_json", is_flag=True, help="JSON on standard output, an object a line.")
_EXAMPLES: Final = {
    "import": "codefence orders import orders.csv --brand qingyuan --dry-run",
    "list": "codefence orders list --brand qingyuan --state open",
    "show": "codefence orders show SO-1001 --brand qingyuan --json",
    "cancel": "codefence orders cancel SO-1001 --brand qingyuan --reason 'wrong dealer'",
    "reconcile": "codefence orders reconcile SO-1001 --brand qingyuan",
}


def _example(command: str) -> str:
    codes = "\b\nExit codes:\n  0  done\n  1  refused; one line says why\n  2  wrong usage"
    return f"\b\nExample:\n  {_EXAMPLES[command]}\n\n{codes}"


def _connect(name: str) -> Connection:
    return connect(load_settings().database_url.get_secret_value(), f"orders {name}")


@click.group()
def orders() -> None:
    """Take outbound orders, follow their loading, and print the documents that travel with the goods."""


@orders.command("import", epilog=_example("import"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_BRAND
@click.option("--dry-run", is_flag=True, help="Check every row and change nothing.")
@_JSON
@reported
def import_(file: Path, *, brand: str, dry_run: bool, as_json: bool) -> None:
    """Place the orders of a CSV file, all or none.

    A row is one line of an order: order, version, dealer, from_site, channel, due, line, gtin, quantity, unit (item or
    case). Rows of one order stand together; all but line, gtin, quantity and unit are alike in them.
    """
    drafts = read_orders(file.read_bytes())
    found = []
    with _connect("import") as connection, connection.transaction(force_rollback=dry_run):
        for number, draft in drafts.items():
            placed = service.place(connection, brand, number, draft, _ACTOR)
            found.append({"order": number, "version": draft.version, "outcome": placed.outcome})
    echo_rows(found, as_json=as_json)
    click.echo(f"{counted(len(found), 'order')} {'checked, nothing was changed' if dry_run else 'placed'}", err=True)


@orders.command("list", epilog=_example("list"))
@_BRAND
@click.option("--state", "states", multiple=True, type=click.Choice([each.value for each in State]), help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@_JSON
@reported
def list_(*, brand: str, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List orders, newest first."""
    wanted = [State(each) for each in states] or None
    with _connect("list") as connection:
        found = service.orders(connection, brand, wanted, limit=limit)
    echo_rows([_summary(each) for each in found], as_json=as_json)


@orders.command(epilog=_example("show"))
@click.argument("order")
@_BRAND
@_JSON
@reported
def show(order: str, *, brand: str, as_json: bool) -> None:
    """Show an order with its lines and its history."""
    with _connect("show") as connection:
        found = service.find(connection, brand, order.upper())
        past = [row._asdict() for row in service.history(connection, brand, found.id)]
    if as_json:
        click.echo(msgspec.json.encode({**found.model_dump(mode="json"), "history": past}))
        return
    echo_rows([_summary(found)], as_json=False)
    click.echo()
    echo_rows([line.model_dump(exclude={"name_en"}) for line in found.lines], as_json=False)
    click.echo()
    echo_rows(past, as_json=False)


@orders.command(epilog=_example("cancel"))
@click.argument("order")
@_BRAND
@click.option("--reason", default="", help="Goes into the order's history and to the ERP.")
@reported
def cancel(order: str, *, brand: str, reason: str) -> None:
    """Cancel an order that nobody has begun to load."""
    with _connect("cancel") as connection:
        service.cancel(connection, brand, order.upper(), _ACTOR, reason)
    click.echo(f"{order.upper()} is cancelled", err=True)


@orders.command(epilog=_example("reconcile"))
@click.argument("order")
@_BRAND
@_JSON
@reported
def reconcile(order: str, *, brand: str, as_json: bool) -> None:
    """Hold an order against the scans that custody accepted for it, in single items, with the codes in --json."""
    with _connect("reconcile") as connection:
        found = reconcile_order(connection, brand, order.upper())
    if as_json:
        click.echo(found.model_dump_json())
        return
    counts = [*found.lines, *found.surplus]
    rows = [each.model_dump(exclude={"name_en", "codes"}) | {"units": len(each.codes)} for each in counts]
    echo_rows(rows, as_json=False)
    click.echo(f"{found.id} is {found.state}: {'order and scans agree' if found.agrees else 'they differ'}", err=True)


def _summary(order: Order) -> dict[str, object]:
    return {
        "order": order.id,
        "version": order.version,
        "state": order.state.value,
        "dealer": order.dealer,
        "from_site": order.from_site,
        "due": order.due.isoformat() if order.due else None,
        "lines": len(order.lines),
        "items": sum(line.items for line in order.lines),
    }


for _command in (
    cli_stations.document_,
    cli_stations.verify,
    cli_stations.token,
    cli_stations.supervisor,
    cli_stations.key,
    cli_stations.manifest,
    cli_stations.refused,
):
    orders.add_command(_command)
