"""Moments on the command line, as the channel's tables write them."""

from datetime import datetime
from typing import Final

import click

from trace_service.channel.problems import FieldError
from trace_service.channel.values import moment as read_moment


class MomentType(click.ParamType[datetime]):
    """A day in China, or an ISO time with its offset."""

    name = "moment"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the moment in UTC."""
        try:
            return value if isinstance(value, datetime) else read_moment(value)
        except FieldError:
            self.fail(f"{value!r} is no day (2026-03-01) and no ISO time with its offset", param, ctx)


MOMENT: Final = MomentType()
known_at_option: Final = click.option("--known-at", type=MOMENT, help="As it was recorded by then; now by default.")
