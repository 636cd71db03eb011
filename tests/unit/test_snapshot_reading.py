"""What a snapshot of an engine may name when it is read: its classes, and nothing that could do anything."""

import pickle
import zlib
from enum import Enum, IntEnum, StrEnum

import pytest
from test_detection_forged import SOUTH, scan
from test_detection_shops import CHANNEL

from trace_service.detection.engine import Engine
from trace_service.detection.live.snapshots import read_engine, write_engine
from trace_service.detection.network import Channel, Network


def calling(module: str, name: str, argument: bytes = b")") -> bytes:
    """Return a snapshot that calls what it names."""
    named = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    return zlib.compress(b"\x80\x04" + named + b"\x93" + argument + b"R.")


def by_name(member: Enum, _protocol: int) -> tuple[object, ...]:
    """Reduce a member of an enumeration as Python 3.11.0 to 3.11.3 do, Debian 12's among them."""
    return getattr, (type(member), member.name)


def test_an_engine_is_read_as_it_was_kept_by_any_python(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Network(CHANNEL))
    scans = [scan(number, 20 * number, SOUTH, unknown=number > 40) for number in range(60)]
    for each in scans[:45]:
        engine.observe(each)
    for kind in (Enum, IntEnum, StrEnum):
        monkeypatch.setattr(kind, "__reduce_ex__", by_name)
    again = read_engine(write_engine(engine))
    assert again.versions == engine.versions
    told = [[list(one.observe(each)) for each in scans[45:]] for one in (engine, again)]
    assert any(told[0])
    assert told[0] == told[1]


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
