"""What is scanned in at a store reaches the shelf agent and settles how many units a refill has."""

import psycopg
import pytest
from console_world import Site

from edge.shelf.refills import RefillFeed
from trace_service.orders.access import issue_token
from trace_service.store.connection import connect

STORE, GTIN = "S-CHENGDU-01", "09506000134352"


def test_a_delivery_is_announced_once_to_its_own_site_and_to_a_valid_token_alone(site: Site) -> None:
    with connect(site.world.owner_dsn, "test") as connection:
        token, elsewhere = issue_token(connection, "shelf-01"), issue_token(connection, "shelf-02")
    with psycopg.connect(site.world.owner_dsn) as owner:
        owner.execute(
            "INSERT INTO trace.stock_unit (site, unit, gtin, present, coming, strange, received_at)"
            " SELECT %s, '/01/' || %s || '/21/A' || n, %s, true, false, false, now() - interval '1 minute'"
            " FROM generate_series(1, 24) AS n",
            (STORE, GTIN, GTIN),
        )
    feed = RefillFeed(site.url, token)
    feed.fetch()
    (refill,) = feed.news()
    assert (refill.gtin, refill.units) == (GTIN, 24)
    feed.fetch()
    assert feed.news() == []
    other = RefillFeed(site.url, elsewhere)
    other.fetch()
    assert other.news() == []
    with pytest.raises(OSError, match="401"):
        RefillFeed(site.url, "cfd_" + "x" * 43).fetch()
