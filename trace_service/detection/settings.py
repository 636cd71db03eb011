"""What the engine is set to. Thresholds are in nats; docs/detection.md has the reason for each."""

from msgspec import Struct

DAY_MS = 86_400_000


class Settings(Struct, frozen=True, kw_only=True):
    """Defaults are those that the published figures were made with."""

    drip_nats: float = 7.0
    bulk_nats: float = 8.5
    least_probability: float = 0.5
    certain_nats: float = 15.0
    retract_probability: float = 0.2
    province_nats: float = 11.0
    collusion_nats: float = 14.0
    outflow_nats: float = 9.5
    clone_nats: float = 6.9
    # Only a lead below this: a shipment that sells late looks the same.
    strip_nats: float = 30.0
    strip_lead_nats: float = 2.5
    least_cases: int = 3
    windows_days: tuple[int, ...] = (21, 63, 100_000)
    # A swapped or lost territory is sold off: goods that left before may be seen there this long.
    runoff_days: int = 150
    document_grace_hours: int = 72
    late_upload_hours: int = 24
    # Claims a standing alert may weaken by before it is taken back; evidence that is only diluted says no less.
    retract_margin_nats: float = 3.0
    # An alert without new evidence for so long is over; what comes later is a new one.
    quiet_days: int = 90
    # Tested cells up to which the thresholds stand as they are; ten times as many raise them by ln 10.
    cells_at_default: int = 5_000
    version: str = "13"
