"""`codefence config`: every setting of every process, with its meaning and its present value."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from pydantic import SecretStr, ValidationError
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from contracts.errors import CodefenceError
from edge.settings import HubSettings, ShelfSettings, StationSettings
from ingest.settings import IngestSettings
from trace_service.settings import TraceSettings

_OF_UP_ALONE: Final = {"TRACE_HTTP_PORT", "TRACE_CONSOLE_URL"}  # the console's, which only `up` starts

CLASSES: tuple[type[BaseSettings], ...] = (StationSettings, HubSettings, ShelfSettings, IngestSettings, TraceSettings)


@click.group()
def config() -> None:
    """Show settings."""


_EXAMPLES: Final = """\b
Examples:
  codefence config show
  TRACE_HTTP_PORT=9000 codefence config show --json
"""


@config.command(epilog=_EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(*, as_json: bool) -> None:
    """Show every setting's environment variable, value (secrets redacted) and meaning."""
    rows = {name: (value, meaning) for class_ in CLASSES for name, value, meaning in _rows(class_)}
    if as_json:
        click.echo(json.dumps({name: {"value": value, "meaning": meaning} for name, (value, meaning) in rows.items()}))
        return
    for name, (value, meaning) in rows.items():
        click.echo(f"{name} = {value}\n    {meaning}")


_ENV_EXAMPLES: Final = """\b
Examples:
  eval "$(codefence config env)"
  codefence trace token add erp --brand qingyuan --scope replenish > erp.token

\b
Exit codes:
  0  the settings, keys and passwords among them, are on standard output
  1  no `codefence up` ever ran on the folder
"""


@config.command(epilog=_ENV_EXAMPLES)
@click.option("--var", default="var", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Folder of the running `codefence up`.")  # fmt: skip
def env(var: Path) -> None:
    """Print the settings with which other commands reach a running `codefence up`, for a shell to take over."""
    try:
        from cli.device import running_installation  # noqa: PLC0415  `show` needs no embedded parts, as on a server

        settings = running_installation(var).serving_environment()
    except ModuleNotFoundError as error:
        message = f"no `codefence up` runs here: it needs the package {error.name!r}: pip install 'codefence[embedded]'"
        raise click.ClickException(message) from error
    except CodefenceError as error:
        raise click.ClickException(f"{error.message}\n  {error.advice}") from error
    for name, value in settings.items():
        if name.startswith("TRACE_") and name not in _OF_UP_ALONE:
            click.echo(f"export {name}={shlex.quote(value)}")


def _rows(class_: type[BaseSettings]) -> Iterator[tuple[str, str, str]]:
    try:
        present = class_().model_dump()
    except ValidationError as error:
        invalid = {str(problem["loc"][0]): problem["msg"] for problem in error.errors() if problem["loc"]}
        present = {name: f"({message})" for name, message in invalid.items()}
    prefix = class_.model_config.get("env_prefix", "")
    for name, field in class_.model_fields.items():
        default = "" if field.default is PydanticUndefined or field.default is None else field.default
        value = present.get(name, default)
        shown = "(set)" if isinstance(value, SecretStr) else str("" if value is None else value)
        yield f"{prefix}{name}".upper(), shown, field.description or ""
