"""Addresses in the settings: whether only this machine has one, and Twilio's hosts."""

from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is this machine."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def twilio_url(api_url: str, product: str) -> str:
    """Return the address of another product of Twilio, in the region of `api_url`.

    Twilio names hosts product.edge.region.twilio.com, the last two left away for its
    own default (https://www.twilio.com/docs/global-infrastructure). A host that is not
    Twilio's has all products.
    """
    url = api_url.rstrip("/")
    host = urlsplit(url).hostname or ""
    if not (host.startswith("api.") and host.endswith(".twilio.com")):
        return url
    return url.replace("//api.", f"//{product}.", 1)
