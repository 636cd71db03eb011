"""`codefence replenish`: try policies on your own demand, plan orders, move stock between stores."""

import click

from cli.replenish.backtest import backtest
from cli.replenish.lines import lines
from cli.replenish.plan import plan
from cli.replenish.promotions import promotion
from cli.replenish.run import load, run
from cli.replenish.transfer import transfer


@click.group()
def replenish() -> None:
    """Forecast demand, try policies, plan orders and transfers."""


replenish.add_command(backtest)
replenish.add_command(plan)
replenish.add_command(transfer)
replenish.add_command(lines)
replenish.add_command(run)
replenish.add_command(load)
replenish.add_command(promotion)
