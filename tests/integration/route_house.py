"""A house with one of everything in it, every address of the application, and how to ask each of them."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asking
import httpx
import psycopg
from console_world import LOGIN, PASSWORD, Site
from PIL import Image

from trace_service.app import create_app
from trace_service.settings import TraceSettings

RESOLVED: Final = ("/414/", "/00/", "/01/", "/.well-known/")
# Whatever the database says of ours, and no page of others may.
OURS: Final = re.compile(r"D-CHENGDU|成都|清源|gateway-market|shelf-0\d|OURS-")
PLACE: Final = [[104.0, 30.0], [104.2, 30.2]]


@dataclass(frozen=True)
class Route:
    """One address with one method; `path` still has its parameters' names."""

    method: str
    path: str


@dataclass(frozen=True)
class House:
    """A running console in which our brand has one of everything."""

    site: Site
    case: int
    check: int
    attachment: int
    draft: int
    stock: tuple[str, str]
    scan: tuple[str, str, str]
    lead: int
    tokens: dict[str, str]
    routes: list[Route]

    def address(self, route: Route) -> str:
        """Return a route's address with the numbers and names of what is ours."""
        by_family = {
            "/alerts/{number}": self.site.world.alert, "/cases/{number}": self.case, "/checks/{number}": self.check,
            "/drafts/{number}": self.draft, "/proposals/{number}": self.site.world.proposal,
            "/leads/{number}": self.lead,
            "/orders/{number}": "OURS-1", "/trips/{name}": "OURS-T", "/trip-sites/{name}": "OURS-S",
            "/trip-routes/{name}": "OURS-R",
        }  # fmt: skip
        path = route.path
        for family, value in by_family.items():
            if family in path:
                path = path.replace(family, family.partition("{")[0] + str(value))
        rest = {
            "attachment": self.attachment, "decision": "approve", "site": self.stock[0], "gtin": self.stock[1],
            "device": self.scan[0], "boot": self.scan[1], "seq": self.scan[2], "dealer": "D-CHENGDU",
            "table": "dealers", "number": self.site.world.alert, "path": "x", "key": "x",
        }  # fmt: skip
        return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(rest.get(found[1], "x")), path)


def draft_file(valid_from: str = "2026-03-01") -> dict[str, Any]:
    properties = {"dealer": "D-CHENGDU", "adcodes": ["510100"], "valid_from": valid_from}
    return {"type": "FeatureCollection", "features": [{"type": "Feature", "properties": properties, "geometry": None}]}


def trip(device: str = "OURS-truck") -> dict[str, Any]:
    begins, ends = (datetime.now(UTC) + timedelta(hours=each) for each in (-1, 24))
    sites = [{"id": f"OURS-{name}", "centre": place, "radius_m": 300} for name, place in zip("AB", PLACE, strict=True)]
    return {
        "device": device, "begins": begins.isoformat(), "ends": ends.isoformat(),
        "stops": [{"site": each["id"]} for each in sites], "sites": sites, "legs": [{"line": PLACE, "width_m": 200}],
    }  # fmt: skip


def photo() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "PNG")
    return target.getvalue()


# What each changing route would take from somebody who may; the case's version is always 1 or later refused.
BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "/alerts/{number}/close": {"outcome": "confirmed"},
    "/cases/{number}": {"action": "comment", "version": 1, "text": "x"},
    "/leads/{number}": {"outcome": "confirmed"},
    "/api/v1/leads/{number}/review": {"outcome": "confirmed"},
    "/cases/{number}/checks": {"instructions": "x", "due": "2030-01-01"},
    "/proposals/{number}/override": {"decision": "reject"},
    "/stock/{site}/{gtin}/count": {"counted": 3},
    "/uploads/checks/{number}": {"result": "not_found"},
    "/api/v1/alerts/{number}/close": {"outcome": "confirmed"},
    "/api/v1/cases/{number}/actions": {"action": "comment", "version": 1, "text": "x"},
    "/api/v1/stock/{site}/{gtin}/count": {"counted": 3},
    "/api/v1/replenishment/proposals/{number}/decision": {"decision": "approve"},
    "/api/v1/territories/drafts/{number}/publish": {"accept": [], "rejudge": False},
    "/api/v1/territories/drafts/{number}/simulate": {},
    "/api/v1/territories/proposals/report": draft_file(),
    "/api/v1/territories/proposals/draft": draft_file(),
    "/api/v1/trips/reports": {"fixes": []},
    "/api/v1/stations/reports": {"fixes": []},
    "/api/v1/trip-sites/{name}": {"centre": PLACE[0], "radius_m": 100},
    "/api/v1/trip-routes/{name}": {"legs": [{"line": PLACE, "width_m": 100}]},
    "/api/v1/trips/{name}": trip("rival-truck"),
    "/api/v1/orders/{number}/cancel": {"reason": "x"},
    "/api/v1/geofence/check": {"dealer": "D-CHENGDU", "position": {"lon": 104.0, "lat": 30.6}},
    "/api/v1/geofence/explain": {"dealer": "D-CHENGDU", "position": {"lon": 104.0, "lat": 30.6}},
}  # fmt: skip


def routes(settings: TraceSettings) -> list[Route]:
    """Return every address that the application answers; the mounted EPCIS part has its own tests."""
    found: list[Route] = []
    for part in create_app(settings).routes:
        contexts = getattr(part, "effective_route_contexts", None)
        if contexts is not None:
            found += [Route(method, each.path) for each in contexts() for method in sorted(each.methods)]
    return [each for each in found if each.method != "OPTIONS" and not each.path.startswith(RESOLVED)]


def furnished(site: Site, case: int, tokens: dict[str, str]) -> House:
    """Put one of everything into our brand, over the same addresses."""
    with signed_in(site, LOGIN) as (mine, csrf):
        file = {"files": ("OURS-photo.png", photo())}
        assert mine.post(f"/uploads/cases/{case}", data={"csrf": csrf}, files=file).status_code == 303
        said = {"csrf": csrf, "action": "comment", "version": "1", "text": "OURS-remark"}
        assert mine.post(f"/cases/{case}", data=said).status_code == 303
        task = {"csrf": csrf, "instructions": "OURS-task", "due": "2030-01-01"}
        assert mine.post(f"/cases/{case}/checks", data=task).status_code == 303
        drafted = {"file": ("OURS-draft.geojson", json.dumps(draft_file()))}
        sent = mine.post("/territories/upload", data={"csrf": csrf}, files=drafted)
        number = int(sent.headers["location"].rpartition("/")[2])
    headers = {"Authorization": f"Bearer {tokens['ours']}"}
    with asking.Client(base_url=f"{site.url}/api/v1", headers=headers) as partner:
        for path, family in (("trips/OURS-T", "trips"), ("trip-sites/OURS-S", "trip-sites")):
            body = trip() if family == "trips" else BODIES["/api/v1/trip-sites/{name}"]
            assert partner.put(f"/{path}", json=body).status_code in {201, 204}
    with psycopg.connect(site.world.owner_dsn) as connection:
        rows = [
            connection.execute(sql).fetchone()
            for sql in (
                "SELECT id FROM trace.field_check",
                "SELECT id FROM trace.case_attachment",
                "SELECT site, gtin FROM trace.stock ORDER BY 1, 2",
                "SELECT device, boot, seq FROM trace.alert_evidence",
                """INSERT INTO trace.lead (brand, claim, kind, near, dealer, cases, strength, reason) VALUES
                ('qingyuan', 'flow/OURS-/1', 'drip', true, 'D-CHENGDU', 3, 0.9, '{"code": "drip"}') RETURNING id""",
            )
        ]
    check, attachment, place, scan, lead = (row or () for row in rows)
    return House(
        site, case, check[0], attachment[0], number, (place[0], place[1]), scan, lead[0], tokens,
        routes(site.world.settings),
    )  # fmt: skip


@contextmanager
def signed_in(site: Site, login: str) -> Iterator[tuple[httpx.Client, str]]:
    """Yield a browser with a session, and the text that proves its forms."""
    with asking.Client(base_url=site.url, headers={"Origin": site.url}) as client:
        form = re.search(r'name="csrf" value="([^"]+)"', client.get("/login").text)
        assert form is not None
        sent = {"login": login, "password": PASSWORD, "csrf": form[1]}
        assert client.post("/login", data=sent).status_code == 303
        found = re.search(r'name="csrf" value="([^"]+)"', client.get("/stock").text)
        assert found is not None
        yield client, found[1]


def ask(client: httpx.Client, house: House, route: Route, csrf: str = "") -> httpx.Response:
    """Send what the route would take from somebody who may."""
    address, body = house.address(route), BODIES.get(route.path, {})
    query: dict[str, str | int]
    if route.method in {"GET", "HEAD", "DELETE"}:
        query = {"after": 0, "since": 0, "version": 0, "code": "x"} if address.endswith(("/news", "/state")) else {}
        return client.request(route.method, address, params=query, headers={"X-CSRF-Token": csrf})
    if route.path.startswith("/api/"):
        query = {"name": "rival"} if address.endswith("/proposals/draft") else {}
        return client.request(route.method, address, params=query, json=body, headers={"X-CSRF-Token": csrf})
    if route.path.startswith(("/uploads/", "/territories/upload", "/channel/import")):
        name = "file" if "territories" in route.path else "files"
        return client.post(address, data={**body, "csrf": csrf}, files={name: ("a.png", photo())})
    return client.post(address, data={**body, "csrf": csrf})
