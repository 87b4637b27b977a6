"""Where a webhook may lead: to public addresses only.

A name is resolved once for each connection; every address it has is checked, and the
connection goes to a checked address, so that a name cannot lead elsewhere between the
check and the connection. An address in a URL is checked as it stands.
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from socket import AF_INET

from aiohttp.abc import AbstractResolver, ResolveResult

# RFC 6052: the last four bytes are an IPv4 address.
_NAT64 = ip_network("64:ff9b::/96")
# Names that are resolved at a time: as many as a process has deliveries under way.
LOOKUPS_MAX = 8
# RFC 7526: 6to4 is withdrawn, and its relay leads anywhere.
_RELAY = ip_network("192.88.99.0/24")


class Forbidden(OSError):
    """An address is not public; the text names it."""

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} leads to {address}, which is not a public address")


def is_public(address: str) -> bool:
    """Tell whether an address is on the public Internet, whatever form it has."""
    ip = ip_address(address.partition("%")[0].strip("[]"))
    if isinstance(ip, IPv6Address):
        inner = _inner(ip)
        if inner is not None:
            return is_public(str(inner))
        if ip.sixtofour is not None or ip.teredo is not None or ip.is_site_local:
            return False
    elif ip in _RELAY:
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address stands for."""
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    return IPv4Address(int(ip) & 0xFFFF_FFFF) if ip in _NAT64 else None


def is_address(host: str) -> bool:
    """Tell whether a host is an address, not a name."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


class OwnThreads(AbstractResolver):
    """Resolves names in threads of its own.

    The loop has four for all it resolves, the model's host of a new call among it. A
    name server that does not answer holds a thread for half a minute.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS_MAX, "webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: int = AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name; raises OSError."""
        look_up = partial(
            socket.getaddrinfo,
            *(host, port, family, socket.SOCK_STREAM),
            flags=socket.AI_ADDRCONFIG,
        )
        loop = asyncio.get_running_loop()
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, proto, _, address in await loop.run_in_executor(
                self._threads, look_up
            )
        ]

    async def close(self) -> None:
        """Begin no more; a thread that waits for a name server is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses; raises Forbidden for any other address.

    The hosts in `allowed` may have any address.
    """

    def __init__(
        self, allowed: frozenset[str], inner: AbstractResolver | None = None
    ) -> None:
        self._allowed = allowed
        self._inner = inner or OwnThreads()

    async def resolve(
        self, host: str, port: int = 0, family: int = AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name, each of them checked."""
        found = await self._inner.resolve(host, port, family)  # type: ignore[arg-type]
        if host.lower() not in self._allowed:
            for one in found:
                if not is_public(one["host"]):
                    raise Forbidden(host, one["host"])
        return found

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._inner.close()
