"""The web application: console and JSON API in one process."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Gauge

from trace_service.api import alerts as api_alerts
from trace_service.api import cases as api_cases
from trace_service.api import channel as api_channel
from trace_service.api import check as api_check
from trace_service.api import codes as api_codes
from trace_service.api import documentation
from trace_service.api import geofence as api_geofence
from trace_service.api import inspections as api_inspections
from trace_service.api import leads as api_leads
from trace_service.api import orders as api_orders
from trace_service.api import promotions as api_promotions
from trace_service.api import replenishment as api_replenishment
from trace_service.api import scans as api_scans
from trace_service.api import session as api_session
from trace_service.api import stations as api_stations
from trace_service.api import stock as api_stock
from trace_service.api import territories as api_territories
from trace_service.api import trips as api_trips
from trace_service.channel.shelf import ChannelShelf
from trace_service.console import (
    alerts,
    cases,
    channel,
    checks,
    codes,
    devices,
    events,
    health,
    inspections,
    leads,
    login,
    maps,
    orders,
    proposals,
    scans,
    stock,
    territories,
    trips,
)
from trace_service.console.warming import warming
from trace_service.epcis.http.app import create_epcis_app
from trace_service.public import router as resolver
from trace_service.public.service import PublicService
from trace_service.settings import TraceSettings
from trace_service.web import answers
from trace_service.web.auth.sessions import Sessions
from trace_service.web.auth.throttle import Throttle
from trace_service.web.bodies import BodyLimit
from trace_service.web.build_assets import BUILD, asset_names
from trace_service.web.context import Console
from trace_service.web.database import Database
from trace_service.web.headers import HeadersAndMetrics, Metrics
from trace_service.web.live import LiveUpdates
from trace_service.web.places import Places
from trace_service.web.render import Renderer
from trace_service.web.static import ImmutableFiles


def create_app(settings: TraceSettings) -> FastAPI:
    """Return the application; raises AssetsError when scripts and styles were not built."""
    console = _make_console(settings)
    public = PublicService(settings, console.metrics.registry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await console.database.open()
        await console.live.start()
        public.open()
        async with warming(app, console):
            yield
        public.close()
        await console.live.stop()
        await console.database.close()

    app = FastAPI(
        title="Codefence", version="1", description=documentation.SUMMARY, lifespan=lifespan,
        openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.console = console
    app.state.public = public
    app.add_middleware(BodyLimit)
    app.add_middleware(HeadersAndMetrics, metrics=console.metrics, https=settings.https)
    answers.install(app)
    _add_routes(app)
    app.mount("/epcis", create_epcis_app(console))
    app.mount("/static", ImmutableFiles(BUILD))
    return app


def _add_routes(app: FastAPI) -> None:
    for page in (
        alerts, cases, channel, checks, codes, devices, events, health, inspections, leads, login, maps, orders,
        proposals, scans, stock, territories, trips,
    ):  # fmt: skip
        app.include_router(page.router, include_in_schema=False)
    app.include_router(resolver.router, include_in_schema=False)
    partners = (api_orders, api_stations, api_check, api_codes, api_channel, api_territories, api_geofence, api_trips)
    ours = (api_session, api_alerts, api_cases, api_leads, api_inspections, api_stock, api_scans)
    for part in (api_replenishment, api_promotions, *ours, *partners):
        app.include_router(part.router, prefix="/api/v1", responses=documentation.PROBLEMS)


def _make_console(settings: TraceSettings) -> Console:
    registry = CollectorRegistry()
    database = Database(settings.database_url.get_secret_value())
    live = LiveUpdates(database)
    Gauge("codefence_live_pages", "Open pages with live updates.", registry=registry).set_function(
        lambda: live.audience
    )
    places = Places(settings.index_folder, settings.map)
    return Console(
        settings=settings,
        database=database,
        sessions=Sessions(database, Throttle(time.monotonic)),
        live=live,
        places=places,
        renderer=Renderer(asset_names(), places),
        metrics=Metrics(registry),
        channels=ChannelShelf(settings.database_url.get_secret_value()),
    )
