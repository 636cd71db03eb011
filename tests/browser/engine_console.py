"""A console over a generated world whose alerts the live engine raised: the pictures of alerts, or itself to look at.

python tests/browser/engine_console.py docs/images
python tests/browser/engine_console.py --serve
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from playwright.sync_api import Browser, sync_playwright
from screenshots import ARGUMENTS, CHROMIUM, Shot, save, signed_in

sys.path.insert(0, str(Path(__file__).parents[1]))

from console_world import PASSWORD, Site, running
from engine_world import MANAGER, make_engine_world

from cli.embedded.binaries import service_account
from cli.embedded.postgres import EmbeddedPostgres, create_database
from firmware_sim.world.parameters import Request
from trace_service.schema.migrate import Roles, migrate
from trace_service.store.connection import connect

ROLES = Roles(ingest="ingest-of-pictures", trace="trace-of-pictures")
LARGEST_BULK = (
    "SELECT id FROM trace.alert WHERE reason ->> 'code' = 'bulk' AND state <> 'closed' ORDER BY cases DESC, id LIMIT 1"
)


def main() -> None:
    """Take the pictures, or serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/images"))
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--seed", type=int, default=21)
    chosen = parser.parse_args()
    with console(Request(seed=chosen.seed, days=150, dealers=40, items=20_000)) as site:
        if chosen.serve:
            print(f"{site.url}  {MANAGER}  {PASSWORD}", file=sys.stderr)  # noqa: T201  a tool for a terminal
            threading.Event().wait()
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            pictures(browser, site, chosen.folder)
            browser.close()


@contextmanager
def console(request: Request) -> Iterator[Site]:
    """Yield a console of its own database, which goes when it stops."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder), service_account())
        dsn = server.start().dsn()
        try:
            create_database(dsn, "pictures")
            owner = urlunsplit(urlsplit(dsn)._replace(path="/pictures"))
            migrate(owner, ROLES)
            host = owner.rpartition("@")[2]
            trace = f"postgresql://codefence_trace:{ROLES.trace}@{host}"
            with running(make_engine_world(owner, trace, Path(folder) / "world", request)) as site:
                yield site
        finally:
            server.stop()


def pictures(browser: Browser, site: Site, folder: Path) -> None:
    """Take the queue in Chinese, the largest bulk alert in both languages, and one with its counting unfolded."""
    with connect(site.world.owner_dsn, "pictures") as connection:
        row = connection.execute(LARGEST_BULK).fetchone()
    if row is None:
        message = "the world has no bulk alert: choose another seed"
        raise SystemExit(message)
    path = f"/alerts/{row.id}"
    shots = (
        Shot("alerts-zh", "/", "zh"),
        Shot("alert-zh", path, "zh", height=1180),
        Shot("alert-en", path, "en", height=1180),
        Shot("alert-engine-en", path, "en", width=1280, height=1500),
    )
    for shot in shots:
        with signed_in(browser, site.url, PASSWORD, shot, MANAGER) as page:
            page.goto(site.url + shot.path)
            if shot.path != "/":
                page.locator("#map[data-drawn=true]").wait_for()
            if shot.name == "alert-engine-en":
                page.locator("details.counted > summary").click()
            save(page, folder / f"{shot.name}.png")


if __name__ == "__main__":
    main()
