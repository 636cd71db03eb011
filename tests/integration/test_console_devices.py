"""The page of devices tells of events that nobody sends any more."""

import re

import asking
import httpx
import psycopg
from console_world import LOGIN, PASSWORD, Site
from test_console_pages import log_in

DEVICE = "gateway-market"


def row_of(client: httpx.Client, device: str) -> str:
    found = re.search(rf'<tr id="device-{device}">.*?</tr>', client.get("/devices").text, re.DOTALL)
    assert found is not None
    return found[0]


def test_a_gap_that_was_asked_for_in_vain_shows_until_it_is_closed(site: Site) -> None:
    add = (
        "INSERT INTO landing.gap (device, boot, numbers, missing, found_at, moved_at, asked, alerted_at, closed_at)"
        " VALUES (%s, gen_random_uuid(), '[1,41)', '{[1,21),[30,41)}', now(), now(), %s, %s, %s)"
    )
    with (
        psycopg.connect(site.world.owner_dsn, autocommit=True) as connection,
        asking.Client(base_url=site.url, headers={"Origin": site.url}) as client,
    ):
        log_in(client, LOGIN, PASSWORD)
        connection.execute(add, (DEVICE, 0, None, None))
        connection.execute(add, (DEVICE, 5, "2026-01-01", "2026-01-02"))
        assert "多次催要未果" not in row_of(client, DEVICE), "neither what was never asked for nor what is closed"
        connection.execute(add, (DEVICE, 2, None, None))
        asked = row_of(client, DEVICE)
        assert ">31</td>" in re.sub(r">\s+", ">", asked)
        assert "多次催要未果" not in asked
        connection.execute("UPDATE landing.gap SET alerted_at = now() - interval '1 hour' WHERE asked = 2")
        assert "多次催要未果" in row_of(client, DEVICE)
