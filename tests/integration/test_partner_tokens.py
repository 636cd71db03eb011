from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated

import asking
import console_world
import httpx
import psycopg
import pytest
from click.testing import CliRunner
from conftest import TestDatabase
from console_world import make_world, running
from fastapi import Depends, FastAPI

from cli.main import main
from trace_service.app import create_app
from trace_service.settings import TraceSettings
from trace_service.store.connection import connect
from trace_service.tokens import add_token, revoke_token
from trace_service.web.tokens import Partner, require_scope

EPCIS = Depends(require_scope("epcis"))


def app_that_tells_who_asks(settings: TraceSettings) -> FastAPI:
    app = create_app(settings)

    @app.get("/api/v1/whoami")
    async def whoami(partner: Annotated[Partner, EPCIS]) -> dict[str, str]:
        return {"brand": partner.brand, "name": partner.name}

    return app


@pytest.fixture
def partner(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(console_world, "create_app", app_that_tells_who_asks)
    with running(make_world(database.owner_dsn, database.trace_dsn)) as site:
        yield f"{site.url}/api/v1/whoami"


def ask(url: str, token: str) -> httpx.Response:
    return asking.get(url, headers={"Authorization": f"Bearer {token}"} if token else {})


def make(database: TestDatabase, name: str, scope: str, days: float = 1) -> str:
    with connect(database.trace_dsn, "tests") as connection:
        return add_token(connection, "qingyuan", name, [scope], timedelta(days=days))


def test_a_token_names_its_brand_until_it_is_revoked(partner: str, database: TestDatabase) -> None:
    token = make(database, "erp", "epcis")
    assert ask(partner, token).json() == {"brand": "qingyuan", "name": "erp"}
    with connect(database.trace_dsn, "tests") as connection:
        row = connection.execute("SELECT last_used_at IS NOT NULL FROM trace.partner_token").fetchone()
        assert row == (True,)
        revoke_token(connection, "qingyuan", "erp")
    answer = ask(partner, token)
    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_SIGNED_IN")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_other_scopes_and_old_or_foreign_tokens_are_refused(partner: str, database: TestDatabase) -> None:
    other = ask(partner, make(database, "shop", "check"))
    assert (other.status_code, other.json()["code"]) == (403, "SCOPE_MISSING")
    assert other.headers["content-type"] == "application/problem+json"
    good = make(database, "erp", "epcis")
    for wrong in ("", "cfp_", good[:-1], good + "x", good.upper(), make(database, "old", "epcis", days=-1), "x" * 9000):
        assert ask(partner, wrong).status_code == 401, wrong[:20]
    assert ask(partner, good).status_code == 200


def test_guessing_is_slowed_while_a_good_token_of_the_same_address_works(partner: str, database: TestDatabase) -> None:
    good = make(database, "erp", "epcis")
    answers = [ask(partner, f"cfp_{number}").status_code for number in range(40)]
    assert answers[0] == 401
    assert answers[-1] == 429
    assert ask(partner, good).status_code == 200


def test_the_database_holds_no_token(database: TestDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(database.owner_dsn, database.trace_dsn)
    monkeypatch.setenv("TRACE_DATABASE_URL", database.trace_dsn)
    monkeypatch.setenv("TRACE_KEY_ENCRYPTION_KEY", world.settings.key_encryption_key.get_secret_value())
    run = CliRunner().invoke
    made = run(main, ["trace", "token", "add", "erp", "--brand", "qingyuan", "--scope", "orders"])
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    assert len(token) > 40
    with psycopg.connect(database.owner_dsn) as connection:
        (row,) = connection.execute("SELECT partner_token::text FROM trace.partner_token").fetchone() or ("",)
    assert token not in row
    again = run(main, ["trace", "token", "add", "erp", "--brand", "qingyuan", "--scope", "orders"])
    assert (again.exit_code, "has a token called" in again.stderr) == (1, True)
    assert "no brand is called" in run(main, ["trace", "token", "add", "e", "--brand", "x", "--scope", "orders"]).stderr
    listed = run(main, ["trace", "token", "list", "--json"]).stdout
    assert '"name": "erp"' in listed
    assert token not in listed
    assert run(main, ["trace", "token", "revoke", "erp", "--brand", "qingyuan"]).exit_code == 0
    assert run(main, ["trace", "token", "revoke", "erp", "--brand", "qingyuan"]).exit_code == 1
