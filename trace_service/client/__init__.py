"""The Python client of the interfaces for partners: typed, patient, and free of server packages.

with Client("https://console.example.com", token) as codefence:
    ruling = codefence.check.sale(product="09506000134352", dealer="D-CHENGDU", position=Position(104.06, 30.67))
"""

from contracts.webhooks import SignatureError
from contracts.webhooks import verify as verify_signature
from trace_service.client.client import Client
from trace_service.client.errors import ApiError, UnreachableError
from trace_service.client.models import (
    Alert,
    AlertDetail,
    CaptureJob,
    CodeState,
    ImportReport,
    Order,
    OrderDraft,
    OrderLine,
    Placed,
    Position,
    Question,
    Reason,
    Reconciliation,
    Ruling,
    WebhookMessage,
)
from trace_service.client.webhooks import receive

__all__ = [
    "Alert",
    "AlertDetail",
    "ApiError",
    "CaptureJob",
    "Client",
    "CodeState",
    "ImportReport",
    "Order",
    "OrderDraft",
    "OrderLine",
    "Placed",
    "Position",
    "Question",
    "Reason",
    "Reconciliation",
    "Ruling",
    "SignatureError",
    "UnreachableError",
    "WebhookMessage",
    "receive",
    "verify_signature",
]
