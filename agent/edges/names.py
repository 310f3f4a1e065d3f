"""The names that phones look up, asked of a DNS server as a phone would (RFC 3263)."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar

import dns.exception
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from agent.endpoint import Address

R = TypeVar("R", bound=Rdata)

DNS_PORT = 53
TIMEOUT_S = 3.0
# NAPTR service fields (RFC 3263 4.1) and the SRV names phones ask without NAPTR, by transport.
NAPTR_SERVICES = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}
SRV_NAMES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
PLAIN_PORT = 5060
MOST_RECORDS = 50


class SilentError(Exception):
    """No DNS server answered, so nothing is known; the message says which was asked."""


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a record brings phones of one transport (udp, tcp, tls); `address` None: the host has none.

    `asked` is the name that was looked up; of several the lowest `priority` counts, the others stand by.
    """

    asked: str
    transport: str
    priority: int
    host: str
    address: str | None
    port: int


class Names:
    """One DNS server, or those of /etc/resolv.conf."""

    def __init__(self, server: Address | None = None) -> None:
        """Remember the server, by its IP address."""
        self._server = server

    def addresses(self, host: str) -> list[str]:
        """A and AAAA of a host; [] when there is none; SilentError."""
        four = [record.address for record in self._asked(host, A)]
        return four + [record.address for record in self._asked(host, AAAA)]

    def leads(self, domain: str) -> list[Lead]:
        """Everywhere SRV brings the phones of a domain, by NAPTR and by the usual names; SilentError."""
        return [lead for transport, name in self._services(domain) for lead in self._served(transport, name)]

    def plain(self, domain: str) -> list[Lead]:
        """Where phones go that ask for no SRV, or find none: the domain's own address, port 5060."""
        return [Lead(domain, "udp", 0, domain, address, PLAIN_PORT) for address in self.addresses(domain)]

    def _services(self, domain: str) -> list[tuple[str, str]]:
        services = [(transport, f"{name}.{domain}") for transport, name in SRV_NAMES.items()]
        for record in self._asked(domain, NAPTR):
            transport = NAPTR_SERVICES.get(record.service.decode("ascii", "replace").lower())
            if transport is not None and record.flags.lower() == b"s":
                services.append((transport, record.replacement.to_text(omit_final_dot=True)))
        return list(dict.fromkeys(services))

    def _served(self, transport: str, name: str) -> Iterator[Lead]:
        """RFC 2782: a target "." says that the service is decidedly not there."""
        for record in sorted(self._asked(name, SRV), key=lambda record: record.priority):
            host = record.target.to_text(omit_final_dot=True)
            if host in ("", "."):
                continue
            addresses: list[str | None] = [*self.addresses(host)]
            for address in addresses or [None]:
                yield Lead(name, transport, record.priority, host, address, record.port)

    def _asked(self, name: str, kind: type[R]) -> list[R]:
        """The records of a kind, without its aliases; dnspython names each class as the type it is."""
        try:
            answer = self._resolver().resolve(
                f"{name}.", kind.__name__, raise_on_no_answer=False, lifetime=TIMEOUT_S
            )
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as error:
            where = self._server or "the servers of /etc/resolv.conf"
            raise SilentError(f"{where} did not say {kind.__name__} of {name}: {error}") from error
        return [record for record in answer if isinstance(record, kind)][:MOST_RECORDS]

    def _resolver(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=self._server is None)
        if self._server is not None:
            resolver.nameservers = [self._server.host]
            resolver.port = self._server.port
        return resolver


def address_of(server: str) -> Address:
    """A DNS server as people write it, with or without a port; ValueError for a name."""
    try:
        return Address(str(ip_address(server)), DNS_PORT)
    except ValueError:
        pass
    address = Address.parse(server)
    if address.ip is None:
        raise ValueError(f'found "{server}"; write the IP address of the DNS server')
    return address
