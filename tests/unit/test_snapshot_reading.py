"""What a snapshot of an engine may name when it is read: its classes, and nothing that could do anything."""

import pickle
import zlib

import pytest

from trace_service.detection.engine import Engine
from trace_service.detection.live.snapshots import read_engine
from trace_service.detection.network import Channel, Network


def calling(module: str, name: str, argument: bytes = b")") -> bytes:
    """Return a snapshot that calls what it names."""
    named = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return zlib.compress(b"\x80\x04" + named + b"\x93" + argument + b"R.")


def test_an_engine_is_read_as_it_was_kept() -> None:
    engine = Engine(Network(Channel(dealers=(), territories=(), places=())))
    kept = zlib.compress(pickle.dumps(engine, 5))
    assert read_engine(kept).versions == engine.versions


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("trace_service.detection.live.snapshots", "os.getpid"),
        ("trace_service.detection.live.snapshots", "connect"),
        ("trace_service.detection.live.snapshots", "Snapshots"),
        ("trace_service.detection.calibration", "exp"),
        ("trace_service.detection.engine", "Mapping"),
        ("trace_service.detection.divisions", "cache"),
        ("trace_service.detection.engine", "Engine.observe"),
        ("trace_service.detection.engine", "__builtins__"),
    ],
)
def test_a_snapshot_that_names_anything_else_is_refused(module: str, name: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match="no part of an engine"):
        read_engine(calling(module, name))


@pytest.mark.parametrize("kept", [{"no": "engine"}, Network(Channel(dealers=(), territories=(), places=()))])
def test_what_is_no_engine_is_refused(kept: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="holds no engine"):
        read_engine(zlib.compress(pickle.dumps(kept, 5)))
