"""How the commands of codes report: wrong usage and coded errors as one line each, progress on standard error."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec

import click
import psycopg

from contracts.errors import CodefenceError

_P = ParamSpec("_P")
_SECONDS_BETWEEN_LINES = 2.0


class RefusedError(click.ClickException):
    """An input or a request that is refused: one line with its remedy, exit code 2."""

    exit_code = 2


class OneLineCommand(click.Command):
    """A command whose wrong usage costs one line on standard error, so that scripts can show it as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; raises `RefusedError` where an option is missing, unknown or out of its range."""
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            raise RefusedError(f"{error.format_message()} See: {ctx.command_path} --help") from error


def reported(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turn a coded error into one line with its advice and exit code 2; a database that is away gives exit code 1."""

    @functools.wraps(command)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CodefenceError as error:
            raise RefusedError(f"{error.code}: {error}. {error.advice}".rstrip()) from error
        except psycopg.OperationalError as error:
            raise click.ClickException(
                f"DATABASE: {str(error).strip()} Check the address and that the database runs."
            ) from error

    return wrapper


class Progress:
    """Counts what is done, and says so every two seconds on a terminal or in a log."""

    def __init__(self, noun: str, total: int | None = None) -> None:
        self._noun, self._total = noun, total
        self._started = self._said = time.monotonic()
        self.done = 0

    def add(self, count: int) -> None:
        """Note that `count` more are done."""
        self.done += count
        now = time.monotonic()
        if now - self._said >= _SECONDS_BETWEEN_LINES:
            self._said = now
            self._say(now)

    def finish(self) -> None:
        """Say the total, where anything was said before."""
        if self._said != self._started:
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        share = f" of {self._total:,}" if self._total is not None else ""
        rate = self.done / max(now - self._started, 1e-9)
        click.echo(f"{self.done:,}{share} {self._noun}, {rate:,.0f}/s", err=True)
