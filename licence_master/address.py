"""Where a master listens: `HOST:PORT` or `[v6]:PORT`, and whether two of them are the same door."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
LAST_PORT = 65_535

_WRITTEN = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|[^\s\[\]:/]+):([0-9]{1,5})")


def _checked(text: str) -> str:
    found = _WRITTEN.fullmatch(text)
    if found is None or (found[1] is not None and not _is_ipv6(found[1])):
        raise ValueError(f'found "{text}"; write HOST:PORT, for example 0.0.0.0:8443 or [::]:8443')
    if int(found[2]) > LAST_PORT:
        raise ValueError(f'found "{text}"; a port is at most {LAST_PORT}')
    return text


Address = Annotated[str, AfterValidator(_checked)]
"""The text of an address, as it is written in master.yaml; port 0 is any that is free."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split `host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def collide(one: str, other: str) -> bool:
    """Whether two listeners want the same port of the same address, or of any address."""
    (host, port), (other_host, other_port) = host_and_port(one), host_and_port(other)
    if port != other_port or port == 0:
        return False
    hosts = {_one_spelling(host), _one_spelling(other_host)}
    return len(hosts) == 1 or not hosts.isdisjoint(ANYWHERE)


def _one_spelling(host: str) -> str:
    """An address, or a name that is not looked up: localhost alone is known everywhere."""
    name = "127.0.0.1" if host.lower() == "localhost" else host.lower()
    return str(ipaddress.IPv6Address(name)) if ":" in name else name


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
