"""The tour as one HTML page that needs nothing else: pictures inside, both languages, light and dark."""

import base64
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from cli.touring.stage import Act


def write_page(path: Path, acts: Sequence[Act]) -> None:
    """Write the page."""
    templates = Environment(
        loader=PackageLoader("cli.touring", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    templates.filters["inline"] = _inline
    path.write_text(templates.get_template("tour.html").render(acts=acts), encoding="utf-8")


def _inline(picture: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode('ascii')}"
