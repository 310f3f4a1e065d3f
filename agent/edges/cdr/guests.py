"""Who may send call records to a listener: they are money, and most ways ask for no password."""

import contextlib
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network


class Guests:
    """The PBX's own address, unless agent.yaml has a name for it, and the networks of `allow`."""

    def __init__(self, pbx: str, allow: Sequence[IPv4Network | IPv6Network]) -> None:
        self._networks = list(allow)
        with contextlib.suppress(ValueError):  # a name
            self._networks.append(ip_network(pbx))

    def admit(self, host: str) -> bool:
        """Whether this address may send."""
        address = ip_address(host.partition("%")[0])
        mapped = address.ipv4_mapped if address.version == 6 else None
        return any((mapped or address) in network for network in self._networks)
