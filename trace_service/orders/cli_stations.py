"""`codefence orders document|verify|token|supervisor|key|refused|manifest`: what travels, and what stations need."""

import base64
import sys
from pathlib import Path
from typing import Final

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from contracts.errors import ConfigurationError
from contracts.wording import counted
from trace_service.cli_parts import echo_rows, reported
from trace_service.codes.opened import opened
from trace_service.orders import access, document, manifests
from trace_service.orders.queries import SQL
from trace_service.signing import signing_key

_EXAMPLES: Final = {
    "document": "codefence orders document SO-1001 --brand qingyuan --out SO-1001.pdf",
    "verify": "codefence orders verify SO-1001.pdf --key kq9…=",
    "token": "codefence orders token station-ship",
    "supervisor": "codefence orders supervisor LI --site dc-east --name 李主管 < pin",
    "key": "codefence orders key",
    "refused": "codefence orders refused --json",
    "manifest": "codefence orders manifest dc-east --out manifest.bin",
}
_MOST: Final = 1000
_EXIT: Final = "\b\nExit codes:\n  0  done\n  1  refused; one line says why\n  2  wrong usage"


def _example(command: str) -> str:
    return f"\b\nExample:\n  {_EXAMPLES[command]}\n\n{_EXIT}"


@click.command("document", epilog=_example("document"))
@click.argument("order")
@click.option("--brand", required=True, help="The brand whose order it is.")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The PDF to write.")
@reported
def document_(order: str, *, brand: str, out: Path) -> None:
    """Write the document that travels with an order's goods, and beside it its signature, FILE.sig."""
    from trace_service.orders.pdf import render  # noqa: PLC0415  the other commands start without a typesetter

    with opened("orders document") as (connection, keys):
        issued = document.issue(connection, keys, brand, order.upper())
        private = signing_key(connection, keys).private
    page = render(issued)
    out.write_bytes(page)
    out.with_name(f"{out.name}.sig").write_bytes(base64.b64encode(private.sign(page)) + b"\n")
    click.echo(f"{out}: number {issued.number}, {counted(issued.content['units'], 'unit')}", err=True)


@click.command(epilog=_example("verify"))
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--key", help="The service's public key, base64; without it that of this installation.")
@reported
def verify(file: Path, *, key: str | None) -> None:
    """Tell whether a document is exactly what was issued, by the signature beside it."""
    public = _public(key)
    try:
        signature = base64.b64decode(file.with_name(f"{file.name}.sig").read_bytes(), validate=False)
        public.verify(signature, file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"there is no usable {file.name}.sig: {error}", advice="Ask the sender.") from error
    except InvalidSignature as error:
        raise ConfigurationError(
            f"{file} is not what was issued, or another key signed it", advice="Ask the sender for the original."
        ) from error
    click.echo(f"{file} is what was issued", err=True)


@click.command(epilog=_example("token"))
@click.argument("device")
@reported
def token(device: str) -> None:
    """Print a new token of a station, once; set it there as EDGE_TRACE_TOKEN. The earlier one ends now."""
    with opened("orders token") as (connection, _):
        click.echo(access.issue_token(connection, device))


@click.command(epilog=_example("supervisor"))
@click.argument("login")
@click.option("--site", required=True, help="The site whose stations they may release.")
@click.option("--name", required=True, help="Their name, for the records.")
@reported
def supervisor(login: str, *, site: str, name: str) -> None:
    """Let somebody release stopped stations and sign differences; the PIN is read from standard input or asked for."""
    if sys.stdin.isatty():
        pin = str(click.prompt("PIN", hide_input=True, confirmation_prompt=True, err=True))
    else:
        pin = sys.stdin.readline().strip()
    with opened("orders supervisor") as (connection, _):
        access.add_supervisor(connection, site, login.upper(), name, pin)
    click.echo(f"{login.upper()} may release the stations of {site} once they have the next manifest", err=True)


@click.command(epilog=_example("key"))
@reported
def key() -> None:
    """Print the public key that signs manifests and documents; stations pin it as EDGE_MANIFEST_KEY."""
    click.echo(base64.b64encode(_public(None).public_bytes_raw()).decode())


@click.command(epilog=_example("refused"))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line, with the note as it came.")
@reported
def refused(*, as_json: bool) -> None:
    """List what stations reported and the service could not carry out, newest first, at most 1000."""
    with opened("orders refused") as (connection, _):
        rows = [row._asdict() for row in connection.execute(SQL["refused_notes"], {"limit": _MOST})]
    hidden = set() if as_json else {"id", "note"}
    echo_rows([{name: value for name, value in row.items() if name not in hidden} for row in rows], as_json=as_json)


@click.command(epilog=_example("manifest"))
@click.argument("site")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@reported
def manifest(site: str, *, out: Path) -> None:
    """Write a site's signed manifest to a file, for a station without a network: its EDGE_DATA/manifest.bin."""
    with opened("orders manifest") as (connection, keys):
        if connection.execute(SQL["site"], {"site": site}).fetchone() is None:
            raise ConfigurationError(f"no site is called {site!r}", advice="Check its name.")
        issued = manifests.issue(connection, keys, site)
    out.write_bytes(issued.body)
    click.echo(f"{out}: version {issued.version}, {len(issued.body)} bytes", err=True)


def _public(text: str | None) -> Ed25519PublicKey:
    if text is None:
        with opened("orders key") as (connection, keys):
            return signing_key(connection, keys).private.public_key()
    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True))
    except ValueError as error:
        raise ConfigurationError("that is no public key", advice="See: codefence orders key") from error
