"""The proxy for an address: HTTPS_PROXY, except for the addresses that NO_PROXY names.

Both are read as curl reads them. The proxy of HTTPS_PROXY serves traffic that is
encrypted end to end, by CONNECT, and never traffic to this machine. NO_PROXY is a list
of `*`, hosts (with their subdomains), addresses and networks, each with a port or
without. Settings that were made and not read have no proxy: the environment's proxy
applies then, as for any client.
"""

import os
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from bridge.settings.addresses import is_loopback
from bridge.settings.process import Settings

_PORTS = {"https": 443, "wss": 443}


def proxy_of(settings: Settings, url: str) -> str | None:
    """Return the URL of the proxy for `url`; None where `url` has none."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    proxy = settings.https_proxy or _from_environment("HTTPS_PROXY")
    if not proxy or parts.scheme not in _PORTS or is_loopback(host):
        return None
    port = parts.port or _PORTS[parts.scheme]
    listed = settings.no_proxy or _from_environment("NO_PROXY")
    entries = (entry.strip().lower() for entry in listed.split(","))
    if any(_names(entry, host, port) for entry in entries if entry):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _from_environment(name: str) -> str:
    return os.environ.get(name, "").strip() or os.environ.get(name.lower(), "")


def _names(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of NO_PROXY names a host."""
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name, _, of_port = entry.partition(":")
    if of_port and of_port != str(port):
        return False
    name = name.removeprefix("*").lstrip(".")
    return host == name or host.endswith(f".{name}")
