"""`codefence test`: every test of the checkout, with pytest's own summary last."""

import os
from pathlib import Path
from typing import Final

import click

from cli.installation import codefence
from trace_service.web.build_assets import ensure_assets

_EXAMPLES: Final = """\b
Examples:
  codefence test
  codefence test tests/unit -k serial
  codefence test --hypothesis-profile=explore
"""
# Real processes share the machine with whatever else runs there: one unlucky moment of a few tests is shown with its
# trace, and refuses nothing; what fails twice, or in many places, does. What starts nothing has one try, and so has
# what kills processes to prove that nothing is lost.
_TWICE: Final = ("--reruns=1", "--max-suite-reruns=3", "--rerun-show-tracebacks")
_ONCE: Final = ("tests/unit", "tests/acceptance/test_faults.py", "tests/integration/test_ingest_faults.py",
                "tests/integration/test_outbox_power_loss.py")  # fmt: skip


@click.command(context_settings={"ignore_unknown_options": True}, epilog=_EXAMPLES)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run every test, a file on each core; ARGUMENTS go to pytest.

    What needs a part that only root can install (a browser, libzbar, a container) is skipped, one line each.
    """
    root = Path(__file__).parents[1]
    if not (root / "tests").is_dir():
        raise click.ClickException("the tests are not part of an installed package; run this in a checkout")
    ensure_assets(lambda text: click.echo(text, err=True))
    os.chdir(root)
    python = Path(codefence()[0]).with_name("python")
    tries = [*_TWICE, *(f"--rerun-exclude-path={each}" for each in _ONCE)]
    # A file's tests stay together: they share parts that are started once.
    command = [str(python), "-m", "pytest", "--numprocesses=auto", "--dist=loadfile", *tries, *arguments]
    os.execv(python, command)  # noqa: S606  becoming pytest is the purpose
