"""dnsmasq as the DNS server of a company: the records of one zone, and nothing else."""

from collections.abc import Mapping, Sequence

from tests.acceptance.peers.network import Network, program
from tests.acceptance.peers.processes import Program

ZONE = "example.test"


class Dnsmasq(Program):
    """Answers for `example.test` at port 53 of a fresh address of the network, without root.

    `hosts` maps names of the zone (or "" for the zone itself) to addresses; `services` lists SRV records as
    (name without the zone, host without the zone, port, priority); more lines of dnsmasq's own as `options`.
    """

    def __init__(
        self,
        network: Network,
        hosts: Mapping[str, str],
        services: Sequence[tuple[str, str, int, int]] = (),
        options: Sequence[str] = (),
    ) -> None:
        """Describe it."""
        self.host = network.address()
        words = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file="]
        words += ["--user=root", "--group=", "--log-facility=-", "--bind-interfaces", "--log-queries"]
        words += [f"--listen-address={self.host}", "--except-interface=lo", f"--local=/{ZONE}/"]
        words += [
            f"--host-record={f'{name}.{ZONE}'.lstrip('.')},{address}" for name, address in hosts.items()
        ]
        words += [
            f"--srv-host={name}.{ZONE},{host}.{ZONE},{port},{priority},0"
            for name, host, port, priority in services
        ]
        command = [program("dnsmasq"), *words, *options]
        super().__init__("dnsmasq", command, network.folder / f"dns-{self.host}", network, ready="started")
