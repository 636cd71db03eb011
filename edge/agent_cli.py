"""`codefence edge station`, `shelf` and `outbox`: settings come from the environment."""

import signal
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Never, TypeVar

import click
import msgspec
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from contracts.errors import CodefenceError, ConfigurationError, OutboxError
from edge.agent import Body, configure_log, run_agent
from edge.outbox import Outbox
from edge.outbox.inspection import Inspection, inspect
from edge.settings import AgentSettings, CameraSettings, HubSettings, OutboxSettings, ShelfSettings, StationSettings
from edge.station import Station
from edge.station.display import Display
from edge.station.equip import equipped
from edge.station.hub_server import Claims, HubServer
from edge.station.sources import open_source
from edge.uplink import Uplink

_SettingsT = TypeVar("_SettingsT", bound=BaseSettings)
_EXIT_CODES: Final = """\b
Exit codes:
  0  ended by SIGTERM, SIGINT, or the end of the source
  1  the source, the outbox or the uplink failed; what was kept is sent at the next start
  2  a setting is missing or wrong
"""
_STATION_EXAMPLES: Final = f"""\b
Examples:
  EDGE_DEVICE=station-pack EDGE_SITE=factory EDGE_BROKER_PASSWORD=… EDGE_DATA=/var/lib/codefence/pack \\
    EDGE_SOURCE=folder:/srv/photos EDGE_ACTIVITY=pack codefence edge station
  EDGE_SOURCE=serial:/dev/ttyACM0 EDGE_ACTIVITY=receive … codefence edge station
  EDGE_SOURCE=camera:0 … codefence edge station

{_EXIT_CODES}"""
_SHELF_EXAMPLES: Final = f"""\b
Examples:
  EDGE_DEVICE=shelf-01 EDGE_SITE=store-7 EDGE_BROKER_PASSWORD=… EDGE_DATA=/var/lib/codefence/shelf-01 \\
    EDGE_SERIAL=/dev/ttyUSB0 EDGE_PLANOGRAM=/etc/codefence/shelf-01.json codefence edge shelf

{_EXIT_CODES}"""
_CAMERA_EXAMPLES: Final = f"""\b
Examples:
  EDGE_DEVICE=camera-01 EDGE_SITE=store-7 EDGE_BROKER_PASSWORD=… EDGE_DATA=/var/lib/codefence/camera-01 \\
    EDGE_PICTURES=camera:rtsp://10.0.0.9/stream EDGE_SLOTS=slots.json EDGE_FULL=full.jpg EDGE_EMPTY=empty.jpg \\
    codefence edge camera
  EDGE_PICTURES=folder:/srv/snapshots … codefence edge camera

{_EXIT_CODES}"""
_HUB_EXAMPLES: Final = """\b
Examples:
  EDGE_DATA=/var/lib/codefence/hub EDGE_HUB_SECRET=… EDGE_HUB_HOST=0.0.0.0 codefence edge hub

\b
Exit codes:
  0  ended by SIGTERM or SIGINT
  2  a setting is missing or wrong
"""
_OUTBOX_EXAMPLES: Final = """\b
Examples:
  EDGE_DATA=/var/lib/codefence/pack codefence edge outbox
  codefence edge outbox --data /var/lib/codefence/pack --json | jq .waiting
"""


@click.command(epilog=_STATION_EXAMPLES)
def station() -> None:
    """Run a scanning station.

    Codes from a folder of pictures, a camera, a video or a serial scanner are kept on disk, then published until the
    server has stored them. Worksheet codes (CF/BEGIN/…) tell the station which order it works on.
    """
    configure_log()
    settings = _settings(StationSettings)

    def work(outbox: Outbox, uplink: Uplink, stop: threading.Event) -> None:
        desk = Station(
            outbox,
            Display(sys.stdout),
            lambda: uplink.is_online,
            activity=settings.activity,
            repeat_seconds=settings.repeat_seconds,
        )
        with equipped(desk, settings, outbox, lambda: uplink.is_online, stop):
            desk.run(open_source(settings), stop)

    _run(settings, work)


@click.command(epilog=_SHELF_EXAMPLES)
def shelf() -> None:
    """Run a shelf agent.

    Polls shelf controllers over Modbus (RTU on a serial line, or TCP), counts the units of each facing, and publishes
    changes, a heartbeat every 30 seconds, and the climate with its alarms. The planogram is a JSON array of
    {"channel", "gtin", "unit_weight_g"}.
    """
    from edge.shelf.agent import run_agents  # noqa: PLC0415  a station goes without numpy
    from edge.shelf.setup import equip  # noqa: PLC0415  likewise

    configure_log()
    settings = _settings(ShelfSettings)

    def work(outbox: Outbox, _uplink: Uplink, stop: threading.Event) -> None:
        run_agents(equip(settings, outbox, stop), stop)

    _run(settings, work)


@click.command(epilog=_CAMERA_EXAMPLES)
def camera() -> None:
    """Run the agent of a shelf camera.

    Looks at the newest picture of a camera, stream, folder or file at an interval, and publishes which facings of each
    product are filled, empty, hidden or taken by another product: changes, and a heartbeat every 30 seconds.
    """
    from edge.shelf.camera import FacingAgent  # noqa: PLC0415  a scanner or scale goes without OpenCV
    from edge.shelf.facings import ShelfCamera, load_picture, load_slots  # noqa: PLC0415  likewise
    from edge.shelf.pictures import open_pictures  # noqa: PLC0415  likewise

    configure_log()
    settings = _settings(CameraSettings)

    def work(outbox: Outbox, _uplink: Uplink, stop: threading.Event) -> None:
        shelf = ShelfCamera(load_slots(settings.slots), load_picture(settings.full), load_picture(settings.empty))
        FacingAgent(outbox, open_pictures(settings.pictures), shelf, settings.look_seconds).run(stop)

    _run(settings, work)


@click.command(epilog=_OUTBOX_EXAMPLES)
@click.option("--data", type=click.Path(path_type=Path), help="The agent's folder, instead of EDGE_DATA.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def outbox(data: Path | None, *, as_json: bool) -> None:
    """Show what an outbox holds: how much waits to be sent, since when, and what the server refused."""
    folder = data or _settings(OutboxSettings).data
    try:
        found = inspect(folder / "outbox.db")
    except OutboxError as error:
        _fail(error, 1)
    click.echo(msgspec.json.encode(found) if as_json else _table(found))


@click.command(epilog=_HUB_EXAMPLES)
def hub() -> None:
    """Run the hub of a site, on one of its stations or beside them.

    It remembers which station has loaded which unit, so that no two load the same one while the server is out of
    reach. Stations find it by EDGE_HUB and share EDGE_HUB_SECRET with it.
    """
    configure_log()
    settings = _settings(HubSettings)
    try:
        claims = Claims(settings.data / "hub.db")
        server = HubServer(
            (settings.hub_host, settings.hub_port), settings.hub_secret.get_secret_value().encode(), claims
        )
    except (OSError, sqlite3.Error) as error:
        _fail(ConfigurationError(f"the hub cannot start: {error}", advice="Check EDGE_DATA and EDGE_HUB_PORT."), 2)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    click.echo(f"the hub listens on {settings.hub_host}:{server.server_address[1]}", err=True)
    server.serve_forever()
    server.server_close()
    claims.close()


def _settings(kind: type[_SettingsT]) -> _SettingsT:
    try:
        return kind()
    except ValidationError as error:
        prefix = kind.model_config.get("env_prefix", "")
        wrong = "; ".join(f"{prefix}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        _fail(ConfigurationError(wrong, advice="Set them in the environment; --help shows examples."), 2)


def _run(settings: AgentSettings, body: Body) -> None:
    try:
        code = run_agent(settings, body)
    except ConfigurationError as error:
        _fail(error, 2)
    except CodefenceError as error:
        _fail(error, 1)
    sys.exit(code)


def _fail(error: CodefenceError, code: int) -> Never:
    click.echo(f"[{error.code}] {error.message}. {error.advice}", err=True)
    sys.exit(code)


def _table(found: Inspection) -> str:
    oldest = "-" if found.oldest_waiting_ms is None else _time(found.oldest_waiting_ms)
    lines = [
        f"waiting       {found.waiting:>10,}  oldest {oldest}",
        f"acknowledged  {found.acknowledged:>10,}  kept for 7 days",
        f"refused       {found.refused:>10,}",
    ]
    lines += [
        f"  {_time(each.refused_at_ms)}  {each.reason:<20} {each.kind:<6} {each.boot[:8]} {each.seq:>8}  {each.body}"
        for each in found.tombstones
    ]
    return "\n".join(lines)


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
