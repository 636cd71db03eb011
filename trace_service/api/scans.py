"""One piece of evidence, traced back to the message that brought it."""

from fastapi import APIRouter
from pydantic import BaseModel

from contracts.topics import Kind, event_topic, partition
from trace_service.web import inquiries
from trace_service.web.context import ConsoleOf
from trace_service.web.guards import SessionOf
from trace_service.web.models import Scan
from trace_service.web.parameters import Boot, DeviceId, Sequence

router = APIRouter(tags=["scans"])


class Topic(BaseModel):
    """The MQTT topic on which the message came, whole and in parts."""

    topic: str
    site: str
    partition: int
    device: str
    kind: str


class TracedScan(BaseModel):
    """A scan as it landed, the verdict on it, and the topic it came on."""

    scan: Scan
    topic: Topic


@router.get("/scans/{device}/{boot}/{seq}")
async def get_scan(console: ConsoleOf, session: SessionOf, device: DeviceId, boot: Boot, seq: Sequence) -> TracedScan:
    """Trace one scan back to its landing row."""
    scan = await inquiries.scan(console.database, session.brand, (device, boot, seq))
    topic = Topic(
        topic=event_topic(scan.site, scan.device, Kind.SCAN),
        site=scan.site,
        partition=partition(scan.device),
        device=scan.device,
        kind=Kind.SCAN,
    )
    return TracedScan(scan=scan, topic=topic)
