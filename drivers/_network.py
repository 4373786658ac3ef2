"""Where a device may call from, as configured: an address or a network. (An underscore: no driver.)"""

from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator

from gateway.fields import Wrong


@cache
def network(text: str) -> IPv4Network | IPv6Network:
    """`"192.0.2.50"` or `"192.0.2.0/24"`. Wrong says what is allowed."""
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise Wrong(
            'an address or a network is needed, e.g. "192.0.2.50" or "192.0.2.0/24"',
            '需要 IP 地址或网段,例如 "192.0.2.50" 或 "192.0.2.0/24"',
        ) from error


def _checked(text: str) -> str:
    network(text)
    return text


Network = Annotated[str, AfterValidator(_checked)]
