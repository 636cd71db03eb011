"""Points in territories by PostGIS: what `benchmarks/baselines/geofence.json` holds of it was measured with this.

    python -m benchmarks.baselines.geofence_postgis postgresql://postgres@127.0.0.1:5499/postgres

The server needs PostGIS (Debian: postgresql-15-postgis-3) and has to run without parallel workers and just-in-time
compilation, so that one core does the work and no time goes into compiling.
"""

import json
import sys
import time
from typing import Final

import numpy as np
import psycopg
import shapely
from numpy.typing import NDArray

from benchmarks.load.geofence_data import Scenery, Shapes, scenery

POINTS: Final = 20_000
SINGLES: Final = 2_000
_COUNT: Final = "SELECT count(*) FROM {table} AS area JOIN spot ON ST_Intersects(area.shape, spot.place)"
Places = NDArray[np.float64]


def main(dsn: str) -> None:
    """Print points a second for territories and districts, plain and subdivided, and single points in microseconds."""
    data = scenery(lambda _: None)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        (version,) = connection.execute("SELECT postgis_full_version()").fetchone() or ("",)
        figures = {"version": version, "points": POINTS, **_measured(connection, data)}
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


def _measured(connection: psycopg.Connection, data: Scenery) -> dict[str, float]:
    _points(connection, data.points[:POINTS])
    found: dict[str, float] = {}
    for name, shapes in (("drawn", data.drawn), ("districts", data.districts)):
        _table(connection, "whole", shapes)
        connection.execute("DROP TABLE IF EXISTS pieces")
        connection.execute("CREATE TABLE pieces AS SELECT id, ST_Subdivide(shape, 128) AS shape FROM whole")
        connection.execute("CREATE INDEX ON pieces USING gist (shape)")
        connection.execute("VACUUM ANALYZE pieces")
        for table, label in (("whole", "per_s"), ("pieces", "subdivided_per_s")):
            took = _timed(connection, _COUNT.format(table=table))
            found[f"{name}_{label}"] = round(POINTS / took)
    _table(connection, "whole", data.drawn)
    return found | _singles(connection, data.points[-SINGLES:])


def _points(connection: psycopg.Connection, points: Places) -> None:
    connection.execute("DROP TABLE IF EXISTS spot")
    connection.execute("CREATE TABLE spot (place geometry(Point))")
    with connection.cursor().copy("COPY spot FROM STDIN") as copy:
        for each in shapely.to_wkb(shapely.points(points), hex=True):
            copy.write_row((each,))
    connection.execute("VACUUM ANALYZE spot")


def _table(connection: psycopg.Connection, name: str, shapes: Shapes) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {name}")
    connection.execute(f"CREATE TABLE {name} (id int, shape geometry)")
    with connection.cursor().copy(f"COPY {name} FROM STDIN") as copy:
        for number, each in enumerate(shapely.to_wkb(shapes, hex=True)):
            copy.write_row((number, each))
    connection.execute(f"CREATE INDEX ON {name} USING gist (shape)")
    connection.execute(f"VACUUM ANALYZE {name}")


def _timed(connection: psycopg.Connection, statement: str) -> float:
    best = float("inf")
    for _ in range(2):
        began = time.perf_counter()
        connection.execute(statement).fetchone()
        best = min(best, time.perf_counter() - began)
    return best


def _singles(connection: psycopg.Connection, points: Places) -> dict[str, float]:
    took = []
    for lon, lat in points.tolist():
        began = time.perf_counter_ns()
        connection.execute(
            "SELECT id FROM whole WHERE ST_Intersects(shape, ST_Point(%s, %s))", (lon, lat), prepare=True
        ).fetchall()
        took.append(time.perf_counter_ns() - began)
    p50, p99 = np.percentile(took, [50, 99]) / 1000
    return {"single_p50_us": round(float(p50)), "single_p99_us": round(float(p99))}


if __name__ == "__main__":
    main(sys.argv[1])
