"""`codefence soak`: kill, cut off and flood a system of real processes for as long as you like, then count."""

import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict, Unpack

import click
import msgspec

from cli.embedded import timescale
from cli.soaking.faults import FAULTS, Fault, single_fault
from cli.soaking.fuzzing import Fuzzed, fuzz
from cli.soaking.mosquitto import is_installed
from cli.soaking.outages import Outage, Storm, allow_storm, database_down, storm
from cli.soaking.rounds import Round, campaign
from cli.soaking.system import BrokerKind, DatabaseKind, Parts
from contracts.errors import CodefenceError
from ingest.cli.parts import log_json

_EPILOG: Final = """\b
Examples:
  codefence soak                                  50 rounds a broker, single faults, five minutes without a database, …
  codefence soak --rounds 8 --outage 0 --no-single-faults --storm 0 --fuzz 0
  codefence soak --rounds 0 --outage 0 --no-single-faults --storm 0 --fuzz 1000000
  codefence soak --database timescale --rounds 8 --outage 0 --no-single-faults --storm 0 --fuzz 0
  codefence soak --seed 7 --json | jq .clean

\b
Exit codes:
  0  nothing was lost, doubled or stuck, and no input crashed or hung a parser
  1  something was; or a part could not be started
  2  wrong usage
"""


class _Wanted(TypedDict):
    """The options that say how much is done."""

    rounds: int
    seed: int
    outage: float
    singles: bool
    devices: int
    inputs: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a soak found."""

    seed: int
    rounds: list[Round]
    outages: list[Outage]
    storms: list[Storm]
    faults: list[Fault]
    fuzzed: list[Fuzzed]

    @property
    def is_clean(self) -> bool:
        """Whether every audit is, and every promise was kept."""
        audits = [one.audit for one in self.rounds] + [one.audit for one in self.outages]
        audits += [one.audit for one in self.storms] + [one.audit for one in self.faults]
        broken = any(one.broken_promises for one in self.rounds)
        return all(audit.is_clean for audit in audits) and not broken and all(one.is_clean for one in self.fuzzed)


@click.command(epilog=_EPILOG)
@click.option("--rounds", default=50, show_default=True, type=click.IntRange(0), help="Fault rounds a broker.")
@click.option("--seed", default=1, show_default=True, help="The same seed kills the same parts at the same moments.")
@click.option("--broker", type=click.Choice([kind.value for kind in BrokerKind]),
              help="One of them; otherwise NATS, and Mosquitto where it is installed.")  # fmt: skip
@click.option("--database", type=click.Choice([kind.value for kind in DatabaseKind]),
              help="One of them; otherwise the wheel's, and rounds on TimescaleDB too where it runs.")  # fmt: skip
@click.option("--outage", default=300.0, show_default=True, help="Seconds without a database; 0 for none.")
@click.option("--single-faults/--no-single-faults", "singles", default=True, show_default=True,
              help="Cut connections, doubles, poison, wrong clocks, a broker away: each once.")  # fmt: skip
@click.option("--storm", "devices", default=10_000, show_default=True, type=click.IntRange(0),
              help="Devices that come back at the same moment; 0 for none.")  # fmt: skip
@click.option("--fuzz", "inputs", default=1_000_000, show_default=True, type=click.IntRange(0),
              help="Inputs to each parser; 0 for none.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def soak(*, broker: str | None, database: str | None, as_json: bool, **wanted: Unpack[_Wanted]) -> None:
    """Run fault rounds on real processes, and compare every captured nonce with the database after each.

    A round kills one to three of database, broker, ingest and a station at random moments, at 30 or 1,000 events a
    second, and starts them again.
    """
    log_json()
    kinds = [BrokerKind(broker)] if broker else [BrokerKind.NATS, *([BrokerKind.MOSQUITTO] if is_installed() else [])]
    databases = [DatabaseKind(database)] if database else _databases()
    try:
        with _folder() as folder:
            report = _soak(folder, kinds, databases, wanted)
    except CodefenceError as error:
        raise click.ClickException(f"[{error.code}] {error.message}. {error.advice}") from error
    verdict = {"clean": report.is_clean, **msgspec.to_builtins(report)}
    click.echo(msgspec.json.encode(verdict) if as_json else _table(report))
    if not report.is_clean:
        sys.exit(1)


def _databases() -> list[DatabaseKind]:
    lacking = timescale.unavailable()
    if lacking:
        _say(f"no rounds on TimescaleDB: {lacking}")
        return [DatabaseKind.WHEEL]
    return [DatabaseKind.WHEEL, DatabaseKind.TIMESCALE]


def _soak(folder: Path, kinds: Sequence[BrokerKind], databases: Sequence[DatabaseKind], wanted: _Wanted) -> Report:
    rounds, seed, outage, devices = wanted["rounds"], wanted["seed"], wanted["outage"], wanted["devices"]
    report = Report(seed=seed, rounds=[], outages=[], storms=[], faults=[], fuzzed=[])
    if devices:
        allow_storm(devices)  # before an hour is spent on the rest
    for kind in kinds:
        for database in databases if rounds else ():
            home = folder / f"rounds-{kind}-{database}"
            parts = Parts(kind, database)
            report.rounds.extend(campaign(home, parts, rounds, seed, lambda one: _say(_line(one))))
        if outage:
            _say(f"{kind}: {outage:g} s without a database …")
            report.outages.append(database_down(folder / f"outage-{kind}", Parts(kind, databases[0]), outage))
        for name in FAULTS if wanted["singles"] else ():
            report.faults.append(single_fault(folder / f"{name.replace(' ', '-')}-{kind}", Parts(kind), name))
            _say(_fault_line(report.faults[-1]))
        if devices:
            _say(f"{kind}: {devices:,} devices …")
            report.storms.append(storm(folder / f"storm-{kind}", Parts(kind, databases[0]), devices))
    if wanted["inputs"]:
        _say(f"{wanted['inputs']:,} inputs to each parser …")
        report.fuzzed.extend(fuzz(folder / "fuzz", wanted["inputs"], seed))
    return report


@contextmanager
def _folder() -> Iterator[Path]:
    """Lend a folder, and put this process's own limits back afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="codefence-soak-"))
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        shutil.rmtree(folder, ignore_errors=True)


def _line(one: Round) -> str:
    name = f"round {one.number:>3}" if one.number >= 0 else "stations "
    audit = one.audit
    found = f"{audit.captured:>7,} captured, {audit.lost} lost, {audit.doubled} doubled, {audit.stuck} stuck"
    where = f"{one.broker:<9} {one.database:<9}"
    return f"{where} {name}  {one.rate:>5}/s  {one.seconds:>6.1f} s  {found}  {' '.join(one.killed)}"


def _table(report: Report) -> str:
    lines = [_line(one) for one in report.rounds]
    lines += [
        f"{one.broker:<9} {one.seconds:g} s without a database: {one.audit.captured:,} captured, caught up in "
        f"{one.caught_up_seconds} s, {_findings(one)}"
        for one in report.outages
    ]
    lines += [
        f"{one.broker:<9} {one.devices:,} devices: all online in {one.online_seconds} s, all back in "
        f"{one.back_seconds} s, all stored in {one.stored_seconds} s, {_findings(one)}"
        for one in report.storms
    ]
    lines += [_fault_line(one) for one in report.faults]
    lines += [f"fuzz      {one.target}: {one.inputs:,} inputs, {one.engine}, {one.outcome}" for one in report.fuzzed]
    lines += ["", "clean" if report.is_clean else "NOT CLEAN"]
    return "\n".join(lines)


def _fault_line(one: Fault) -> str:
    audit = one.audit
    return f"{one.broker:<9} {one.name}: {audit.captured:,} captured, {audit.committed:,} stored, {_findings(one)}"


def _findings(one: Outage | Storm | Fault) -> str:
    return f"{one.audit.lost} lost, {one.audit.doubled} doubled, {one.audit.stuck} stuck"


def _say(text: str) -> None:
    click.echo(text, err=True)
