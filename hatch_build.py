"""Refuses to build a wheel without the console's assets: it would install and then show unstyled, dead pages."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MANIFEST = "trace_service/web/static/build/manifest.json"


class RequireAssets(BuildHookInterface[Any]):
    """Checks that the assets were built before a wheel is made; an editable install builds them on first use."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise RuntimeError where the assets are missing."""
        del build_data
        if version != "editable" and not (Path(self.root) / MANIFEST).is_file():
            raise RuntimeError(
                f"{MANIFEST} is missing; build it first:\n"
                '  python -c "from trace_service.web.build_assets import ensure_assets; ensure_assets(print)"'
            )
