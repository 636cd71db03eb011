"""`codefence fence`: signed fences of one site or truck, made, shown and asked without a server."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import click
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from cli.geography.tables import Row, chunks, open_table, positions
from cli.geography.trip_tables import report_of, shown
from contracts import fence as wire
from contracts.errors import CodefenceError
from contracts.wording import counted
from edge.fence import HeldFence
from edge.fence.store import require_in_force, trusted
from geofence.errors import GeofenceError
from geofence.evidence import LARGEST_ACCURACY_M, RADIUS_PER_SIGMA, Platform
from geofence.fences import read_fences
from geofence.trips import Change

_MANY_DAYS: Final = 366
_EXIT_CODES: Final = """\b
Exit codes:
  0  done
  1  the fence is refused, or a row could not be judged
  2  wrong usage
"""
_BUILD: Final = f"""\b
Examples:
  codefence fence build --area depot.geojson --for site:dc-east --key signing.pem --out dc-east.fence
  codefence fence build --trip trip.json --for device:truck-7 --key signing.pem --days 2 --out truck-7.fence

{_EXIT_CODES}"""
_SHOW: Final = f"""\b
Example:
  codefence fence show truck-7.fence --json

{_EXIT_CODES}"""
_CHECK: Final = f"""\b
Examples:
  codefence fence check dc-east.fence --for site:dc-east --key public.pem --points scans.csv
  codefence fence check truck-7.fence --for device:truck-7 --key public.pem --points - < fixes.csv

{_EXIT_CODES}"""
_FOLLOW: Final = f"""\b
Examples:
  codefence fence follow truck-7.fence --for device:truck-7 --key public.pem < track.csv
  tracker-as-csv /dev/ttyUSB0 | codefence fence follow truck-7.fence --for device:truck-7 --key public.pem

{_EXIT_CODES}"""
_AUDIENCE = click.option(
    "--for", "audience", required=True, help="Whom it is for: site:NAME or device:NAME.", metavar="AUDIENCE"
)
_KEY = click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Ed25519 public key, PEM, or 32 bytes in hexadecimal digits.",
)
_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


class _Order(NamedTuple):
    """Whom a fence is made for, as which version, and for how many days."""

    audience: str
    version: int
    days: int


@click.group()
def fence() -> None:
    """Make, show and ask the signed fence of one site or one truck."""


@fence.command(epilog=_BUILD)
@click.option("--area", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="GeoJSON FeatureCollection of polygons in WGS-84: a site or a territory.")  # fmt: skip
@click.option("--trip", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="A trip as PUT /api/v1/trips takes it, with its legs and sites.")  # fmt: skip
@_AUDIENCE
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True,
              help="Ed25519 private key, PEM.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The fence.")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True, help="Higher than the last one.")
@click.option("--days", type=click.IntRange(1, _MANY_DAYS), default=7, show_default=True, help="How long it holds.")
def build(key: Path, out: Path, **chosen: Any) -> None:  # noqa: ANN401  click passes options of several types
    """Make a fence of polygons or of a trip and sign it; its size goes to standard error."""
    try:
        data = _built(
            chosen["area"], chosen["trip"], key, _Order(chosen["audience"], chosen["version"], chosen["days"])
        )
    except (CodefenceError, GeofenceError) as error:
        raise click.ClickException(f"{error.code}: {error}. {error.advice}") from error
    try:
        out.write_bytes(data)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    head, points = wire.read(data)
    kind = f"{len(head.shapes)} shapes, {len(points):,} points"
    click.echo(f"{out}: {len(data):,} bytes, {kind}, rounded by at most {wire.ROUNDING_M} m", err=True)


def _built(area: Path | None, trip: Path | None, key: Path, order: _Order) -> bytes:
    from trace_service.trips import fences  # noqa: PLC0415  show and check run on devices, without the server

    if (area is None) == (trip is None):
        raise click.UsageError("give either --area or --trip")
    if area is not None:
        import shapely  # noqa: PLC0415  likewise

        union = shapely.union_all(list(read_fences(area.read_bytes()).values()))
        content = fences.of_area(order.audience.partition(":")[2], union, area.name)
    else:
        from cli.geography.trip_plans import read_trip_plan  # noqa: PLC0415  likewise

        content = fences.of_trip(read_trip_plan(trip or Path()))
    now = datetime.now(UTC)
    stamp = fences.Stamp(order.audience, order.version, now, now + timedelta(days=order.days))
    data = fences.signed(content, stamp, _private(key))
    wire.verify(data, _private(key).public_key())
    return data


@fence.command(epilog=_SHOW)
@_FILE
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def show(file: Path, *, as_json: bool) -> None:
    """Show what a fence says of itself. The signature is not checked: `check` does that."""
    try:
        head, points = wire.read(_bytes(file))
    except CodefenceError as error:
        raise click.ClickException(f"{error.code}: {error}. {error.advice}") from error
    told = {
        "audience": head.audience,
        "version": head.version,
        "issued_at": _time(head.issued_at),
        "expires_at": _time(head.expires_at),
        "key": head.key,
        "source": head.source,
        "shapes": len(head.shapes),
        "stops": len(head.stops),
        "points": len(points),
        "bytes": file.stat().st_size,
        "rounding_m": wire.ROUNDING_M,
    }
    if as_json:
        click.echo(msgspec.json.encode(told))
        return
    for name, value in told.items():
        click.echo(f"{name:<11} {value}")


@fence.command(epilog=_CHECK)
@_FILE
@_AUDIENCE
@_KEY
@click.option("--points", type=click.File("r", encoding="utf-8-sig"), required=True,
              help="CSV with lon, lat and perhaps accuracy_m; - is standard input.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="A JSON object a row, instead of CSV.")
def check(file: Path, audience: str, key: Path, points: TextIO, *, as_json: bool) -> None:
    """Judge positions by a fence, after its signature, its audience and its time.

    Adds `verdict`, `p_inside` and `signed_distance_m` to each row, negative inside. A bad row says why in `error`.
    """
    held = _held(file, audience, key)
    failed = _judged(held, points, as_json=as_json)
    if failed:
        click.echo(f"{counted(failed, 'row')} could not be judged; see the column `error`", err=True)
        sys.exit(1)


@fence.command(epilog=_FOLLOW)
@_FILE
@_AUDIENCE
@_KEY
def follow(file: Path, audience: str, key: Path) -> None:
    """Judge a truck's trip as its fixes come in on standard input, and print what changes, a JSON object a line.

    Lines are CSV: `at` (ISO 8601 with zone, or milliseconds), `lon`, `lat`, `accuracy_m`, and perhaps `handling` and
    `amount`. This is what the trace service does with the same reports, without any network.
    """
    judge = _held(file, audience, key).follow()
    device, failed = audience.partition(":")[2], 0
    for number, row in enumerate(open_table(sys.stdin, ("at", "lon", "lat", "accuracy_m")).rows, start=2):
        try:
            report = report_of(row, device)
        except (ValueError, OverflowError, GeofenceError) as error:
            failed += 1
            click.echo(f"line {number}: {error}", err=True)
            continue
        _tell(judge.observe([report]))
    _tell(judge.conclude(judge.state.newest))
    if failed:
        sys.exit(1)


def _tell(changes: list[Change]) -> None:
    for change in changes:
        told = {"action": change.action, "id": change.id, **shown(change.episode)}
        click.echo(msgspec.json.encode(told).decode())


def _held(file: Path, audience: str, key: Path) -> HeldFence:
    try:
        head, coordinates = trusted(_bytes(file), _public(key), audience)
        require_in_force(head, time.time_ns() // 1_000_000)
        return HeldFence(head, coordinates)
    except (CodefenceError, GeofenceError) as error:
        raise click.ClickException(f"{error.code}: {error}. {error.advice}") from error


def _judged(held: HeldFence, points: TextIO, *, as_json: bool) -> int:
    import csv  # noqa: PLC0415  only this command writes tables

    table = open_table(points, ("lon", "lat"))
    added = ("verdict", "p_inside", "signed_distance_m", "fence_version", "error")
    names = [*(name for name in table.names if name not in added), *added]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if not as_json:
        writer.writerow(names)
    failed = 0
    for part in chunks(table):
        good, lons, lats = positions(part)
        for row, lon, lat in zip(good, lons.tolist(), lats.tolist(), strict=True):
            _judge(held, row, (lon, lat), held.head.version)
        for row in part:
            failed += bool(row["error"])
            kept = {name: row.get(name, "") for name in names}
            if as_json:
                click.echo(msgspec.json.encode(kept))
            else:
                writer.writerow(kept.values())
    return failed


def _judge(held: HeldFence, row: Row, place: tuple[float, float], version: int) -> None:
    try:
        radius = float(row.get("accuracy_m") or 0)
    except ValueError:
        radius = -1.0
    if not 0 <= radius <= LARGEST_ACCURACY_M:
        row["error"] = f"accuracy_m must be a number of metres, 0 to {LARGEST_ACCURACY_M:,.0f}"
        return
    judged = held.judge(*place, radius / RADIUS_PER_SIGMA[Platform.ANDROID])
    row["verdict"] = judged.verdict.value
    row["p_inside"] = f"{judged.p_inside:.4f}"
    row["signed_distance_m"] = f"{judged.signed_distance_m:.1f}"
    row["fence_version"] = str(version)


def _bytes(file: Path) -> bytes:
    if file.stat().st_size > wire.MAX_BYTES:
        raise click.ClickException(f"{file} is larger than {wire.MAX_BYTES:,} bytes: no fence")
    return file.read_bytes()


def _private(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise click.ClickException(f"{path} is no private key in PEM: openssl genpkey -algorithm ed25519") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise click.ClickException(f"{path} is no Ed25519 key: openssl genpkey -algorithm ed25519")
    return key


def _public(path: Path) -> Ed25519PublicKey:
    raw = path.read_bytes()
    try:
        if not raw.startswith(b"-----"):
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(raw.decode().strip()))
        key = load_pem_public_key(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise click.ClickException(f"{path} is no public key: openssl pkey -pubout") from error
    if not isinstance(key, Ed25519PublicKey):
        raise click.ClickException(f"{path} is no Ed25519 key")
    return key


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
