"""Whose request it is: a client's address, as far as somebody near names it."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol

from multidict import MultiMapping

_SAID = "X-Forwarded-For"
# One client has a network of this size: by single addresses it is nobody's limit.
_IPV6_CLIENT_BITS = 64


class Request(Protocol):
    """A request such as aiohttp's."""

    @property
    def remote(self) -> str | None:
        """The address at the other end of the connection."""

    @property
    def headers(self) -> MultiMapping[str]:
        """The headers, each as often as it came."""


def address_of(request: Request) -> str:
    """Return a client's address: what the last proxy says, if one stands in front.

    Each proxy adds the address of its own client at the end of X-Forwarded-For, or in
    another header of that name behind those that came. Who reaches the service without
    a proxy could write anything there.
    """
    peer = request.remote or ""
    near = _read(peer)
    if near is None or not near.is_private:
        return peer
    said = _read(",".join(request.headers.getall(_SAID, ())).rpartition(",")[2])
    return peer if said is None else str(said)


def counted_as(address: str) -> str:
    """Return what a client's tries are counted by: of IPv6, the client's network."""
    ip = _read(address)
    if not isinstance(ip, IPv6Address):
        return address
    return str(ip_network((ip, _IPV6_CLIENT_BITS), strict=False))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; some proxies put the client's port behind it."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip
