"""Webhooks: messages to partners, queued in the transaction that they tell of and delivered by a process of its own."""

from trace_service.webhooks.outbox import enqueue

__all__ = ["enqueue"]
