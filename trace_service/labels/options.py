"""The options that all commands of labels share, and the run that they describe."""

import functools
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click

from contracts.wording import counted
from trace_service.codes.reporting import Progress, RefusedError
from trace_service.labels.jobs import Numbers, run, stream
from trace_service.labels.model import Kind
from trace_service.labels.pdf import SHEETS
from trace_service.labels.sources import Source
from trace_service.labels.template import default_template, load_template
from trace_service.labels.writers import Design, Format

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")
_STREAM: Final = "-"
_SYMBOLS: Final = [kind.value for kind in Kind]


@dataclass(frozen=True)
class Output:
    """What labels look like and where they go; the options, checked."""

    kind: Kind
    format: Format
    out: str
    template: Path | None
    dpi: int
    host: str
    name: str
    sheet: str
    part: int

    def named(self, name: str) -> "Output":
        """Return the same with the text {name}."""
        return replace(self, name=name)

    def produce(self, source: Source, numbers: Numbers, constants: Mapping[str, str]) -> None:
        """Write the labels, with progress on standard error."""
        look = load_template(self.template) if self.template else default_template(self.kind, self.dpi)
        design = Design(self.kind, self.format, look, {**constants, "name": self.name}, SHEETS[self.sheet])
        progress = Progress("labels", numbers.size)
        if self.out == _STREAM:
            made = stream(design, source, numbers, sys.stdout, size=self.part, progress=progress.add)
            sys.stdout.flush()
        else:
            made = run(design, source, numbers, Path(self.out), size=self.part, progress=progress.add)
        progress.finish()
        kept = f", {counted(made.kept, 'part')} already there" if made.kept else ""
        click.echo(f"{counted(made.labels, 'label')}, {counted(made.parts, 'part')}{kept}", err=True)


_option = functools.partial(click.option, show_default=True)
_OPTIONS: Final = (
    _option("--symbol", type=click.Choice(_SYMBOLS), help="The symbology; each command has its usual one."),
    _option("--format", "format_", type=click.Choice([each.value for each in Format]), default="png"),
    _option("--out", required=True, help="The folder of the parts; - streams zpl and csv to standard output."),
    _option("--template", type=click.Path(path_type=Path), help="TOML: sizes, texts, logo; else a plain one."),
    _option(
        "--dpi",
        type=click.IntRange(72, 2400),
        default=300,
        show_default=True,
        help="The printer's, without a template.",
    ),
    _option("--host", envvar="TRACE_LABEL_HOST", default="id.codefence.example", help="Of Digital Links."),
    _option("--name", default="", help="The text {name}, such as the product's."),
    _option("--sheet", type=click.Choice(list(SHEETS)), default="a4", help="Of a PDF; label: one a page."),
    _option("--part", type=click.IntRange(1, 1_000_000), default=10_000, help="Labels a file or folder."),
)


def label_options(default: Kind) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the shared options to a command, which gets them as one `output`."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(**options: Any) -> None:  # noqa: ANN401  click's values
            command(output=_output(options, default), **options)

        for option in reversed(_OPTIONS):
            wrapper = option(wrapper)
        return wrapper

    return decorate


def _output(options: dict[str, Any], default: Kind) -> Output:
    """Take the shared options out of what click passes."""
    names = ("out", "template", "dpi", "host", "name", "sheet", "part")
    shared = {name: options.pop(name) for name in names}
    output = Output(Kind(options.pop("symbol") or default), Format(options.pop("format_")), **shared)
    if _HOST.fullmatch(output.host) is None:
        raise RefusedError(f"--host {output.host[:80]!r} is no host name.")
    if output.out == _STREAM and not output.format.is_text:
        raise RefusedError("--out - streams zpl and csv; choose a folder for other formats.")
    return output
