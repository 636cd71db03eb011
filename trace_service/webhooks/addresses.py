"""Where a webhook may go: public addresses over TLS, and what the operator allows besides.

The name is resolved once, each address is judged, and the connection goes to a judged address: a name that points
elsewhere at the second look gains nothing.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpcore

from contracts.errors import ConfigurationError

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
_Address: TypeAlias = IPv4Address | IPv6Address
_NAT64: Final = ip_network("64:ff9b::/96")
_LONGEST_URL = 2000
_ADVICE: Final = "Use a public https address, or allow the network with TRACE_WEBHOOK_NETWORKS."


class AddressRefusedError(httpcore.ConnectError):
    """Every address of the host is one that no webhook may reach."""


def is_allowed(address: _Address, networks: Networks) -> bool:
    """Tell whether a connection may go there: a public unicast address, or one of the allowed networks."""
    inner = _embedded(address)
    if any(address in network or inner in network for network in networks):
        return True
    return all(
        each.is_global and not (each.is_multicast or each.is_reserved or each.is_unspecified)
        for each in (address, inner)
    )


def _embedded(address: _Address) -> _Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else address)
    return address


def require_deliverable(url: str, networks: Networks) -> None:
    """Refuse a URL that could never be delivered to; names are judged again at every connection.

    Raises `ConfigurationError`.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname or ""
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}", advice=_ADVICE) from error
    sound = url.isascii() and url.isprintable() and " " not in url and len(url) <= _LONGEST_URL and port != 0
    if parts.scheme not in {"https", "http"} or not host or not sound or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError(
            f"{url!r} is no address for a webhook",
            advice="Give scheme, host and path in ASCII, without user, password or fragment.",
        )
    address = _literal(host)
    if address is not None and not is_allowed(address, networks):
        raise ConfigurationError(f"{address} is not public", advice=_ADVICE)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme == "http" and not loopback:
        raise ConfigurationError("plain http would show the message to the network", advice="Use https.")


def _literal(host: str) -> _Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to judged addresses only; without TLS (`plain`) to this machine alone."""

    def __init__(self, networks: Networks, *, plain: bool) -> None:
        self._networks = networks
        self._plain = plain
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, judge, connect. Raises AddressRefusedError or httpcore's own errors."""
        addresses = [each for each in await _resolve(host, port) if self._may_reach(each)]
        if not addresses:
            raise AddressRefusedError("the host has no address that a webhook may reach")
        return await self._inner.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._inner.sleep(seconds)

    def _may_reach(self, address: _Address) -> bool:
        return is_allowed(address, self._networks) and (address.is_loopback or not self._plain)


def guarded_pools(networks: Networks, connections: int) -> dict[str, httpcore.AsyncConnectionPool]:
    """Return a pool for each scheme, https and http, that connects to judged addresses only and follows no redirect."""
    return {
        scheme: httpcore.AsyncConnectionPool(
            ssl.create_default_context(), network_backend=GuardedNetwork(networks, plain=scheme == "http"),
            max_connections=connections, keepalive_expiry=15.0,
        )
        for scheme in ("https", "http")
    }  # fmt: skip


async def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the host is not known: {error}") from error
    # A scope (fe80::1%eth0) is only on addresses that are refused anyway.
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
