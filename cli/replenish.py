"""`codefence replenish`: try policies on your own demand, plan orders, move stock between stores."""

import click

from cli.replenish_backtest import backtest


@click.group()
def replenish() -> None:
    """Forecast demand, try policies, plan orders and transfers."""


replenish.add_command(backtest)
