"""How often one address may ask, and how its visits are told apart without keeping it."""

import hashlib
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

PER_MINUTE: Final = 120
# An address of a private network is a proxy that nobody declared trusted, with many visitors behind it.
PER_MINUTE_INSIDE: Final = 2400
_INSIDE: Final = tuple(
    ipaddress.ip_network(each)
    for each in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
# Whoever comes from many addresses cannot make this grow: the oldest entries give way.
_REMEMBERED: Final = 20_000
_VISITOR_BYTES: Final = 8


def network_of(address: str) -> str:
    """Return what counts as one asker: an IPv4 address, or the /64 that one IPv6 subscriber has; else an empty text."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((parsed, 64), strict=False))


def per_minute(asker: str) -> int:
    """Return how many requests a minute an asker has."""
    if not asker:
        return PER_MINUTE
    network = ipaddress.ip_network(asker)
    inside = any(each.version == network.version and each.overlaps(network) for each in _INSIDE)
    return PER_MINUTE_INSIDE if inside else PER_MINUTE


class Allowance:
    """So many requests a minute for each asker, as a bucket that fills evenly; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, asker: str) -> float:
        """Count a request; return 0, or the seconds after which the next one will be answered."""
        now, most = self._clock(), per_minute(asker)
        with self._lock:
            level, since = self._buckets.pop(asker, (float(most), now))
            level = min(float(most), level + (now - since) * most / _MINUTE)
            allowed = level >= 1
            self._buckets[asker] = (level - 1 if allowed else level, now)
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - level) * _MINUTE / most


class Visitors:
    """Names visitors under a key that is drawn anew each day and never stored."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._key, self._drawn = secrets.token_bytes(32), clock()

    def name(self, asker: str) -> bytes:
        """Return today's name of an asker."""
        with self._lock:
            if self._clock() - self._drawn >= _DAY:
                self._key, self._drawn = secrets.token_bytes(32), self._clock()
            key = self._key
        return hashlib.blake2b(asker.encode(), key=key, digest_size=_VISITOR_BYTES).digest()
