"""How much each source may send: one token bucket a source, asked before a message is read.

A bucket is one integer, the moment at which its source has paid for all it sent (the generic cell rate
algorithm of ITU-T I.371): a source that has paid and one never seen are the same. So a table of bounded size
forgets those who have paid without losing anything, and a flood under random names makes nobody forgotten.
"""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from telephony.address import Flow, source_of

Network = IPv4Network | IPv6Network

Sorted = tuple[list[tuple[bytes, Flow]], list[tuple[bytes, Flow]], list[tuple[bytes, Flow]]]

NO: Final = 0
LATER: Final = 1
NOW: Final = 2

TABLE: Final = 16_384
# Time is counted in thousandths of a message, so that any rate is exact: a ms is worth `rate` of them.
MESSAGE: Final = 1_000
USUAL: Final = 100  # messages at once, or a tenth of a second of the rate where that is more
UNKNOWN: Final = 0
EXEMPT: Final = -1


class Meter:
    """Each source may send `rate` messages a second, and `burst` at once; who is exempt may send anything.

    A source is an IPv4 address or an IPv6 /64. `exempt` are single hosts, `trusted` networks; both must be
    such that nobody outside can borrow their addresses.
    """

    def __init__(
        self,
        rate: int,
        burst: int,
        exempt: Sequence[str] = (),
        trusted: Sequence[Network] = (),
        table: int = TABLE,
    ) -> None:
        self.refused = 0
        self._rate = rate
        self._depth = (burst - 1) * MESSAGE
        self._patience = max(USUAL, rate // 10) * MESSAGE
        self._exempt = frozenset(exempt)
        self._trusted = tuple(trusted)
        self._table = table
        self._paid: dict[str, int] = {}
        self._sources: dict[str, str] = {}  # of IPv6 addresses; holds nothing that may not be lost
        self._over: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._paid)

    def admit(self, host: str, now_ms: int) -> int:
        """Whether a message of this host may be read: NO, LATER or NOW; the answer counts it.

        LATER: its source has sent much more at once than is usual, so that others come first.
        """
        now = now_ms * self._rate
        paid = self._paid.get(host, UNKNOWN)
        if paid > UNKNOWN:
            return self._charge(host, paid, now)
        return NOW if paid == EXEMPT else self._admit_other(host, now)

    def owes(self, host: str, now_ms: int) -> bool:
        """Whether a message of this host would be refused now; asking counts nothing."""
        paid = self._paid.get(self._sources.get(host, host), UNKNOWN)
        return paid > now_ms * self._rate + self._depth

    def sort(self, arrived: Sequence[tuple[bytes, Flow]], now_ms: int) -> Sorted:
        """Messages that arrived together, by whether they may be read: NOW, LATER, NO."""
        admitted: list[tuple[bytes, Flow]] = []
        later: list[tuple[bytes, Flow]] = []
        refused: list[tuple[bytes, Flow]] = []
        for message in arrived:
            answer = self.admit(message[1].host, now_ms)
            if answer == NOW:
                admitted.append(message)
            elif answer == LATER:
                later.append(message)
            else:
                refused.append(message)
        return admitted, later, refused

    def over(self) -> list[tuple[str, int]]:
        """The sources that were refused since the last call and how often, the most refused first."""
        found = sorted(self._over.items(), key=lambda item: -item[1])
        self._over.clear()
        return found

    def exhaust(self, source: str, now_ms: int) -> None:
        """Take a source's burst away: from now on it may send `rate` a second, no more."""
        self._make_room(source, now_ms * self._rate)
        self._paid[source] = now_ms * self._rate + self._depth

    def _admit_other(self, host: str, now: int) -> int:
        """A host seen for the first time, or an IPv6 address, which is counted with its network."""
        source = self._sources.get(host)
        if source is None:
            if self._is_exempt(host):
                self._make_room(host, now)
                self._paid[host] = EXEMPT
                return NOW
            source = self._source(host)
        self._make_room(source, now)
        return self._charge(source, self._paid.get(source, UNKNOWN), now)

    def _charge(self, source: str, paid: int, now: int) -> int:
        owing = paid - now if paid > now else 0
        if owing > self._depth:
            return self._refuse(source)
        self._paid[source] = now + owing + MESSAGE
        return NOW if owing <= self._patience else LATER

    def _source(self, host: str) -> str:
        source = source_of(host)
        if source is not host:
            if len(self._sources) >= self._table:
                self._sources.clear()
            self._sources[host] = source
        return source

    def _is_exempt(self, host: str) -> bool:
        if host in self._exempt:
            return True
        if not self._trusted:
            return False
        address = ip_address(host)
        return any(address in network for network in self._trusted)

    def _refuse(self, source: str) -> int:
        self.refused += 1
        over = self._over
        if source in over:
            over[source] += 1
        elif len(over) < self._table:
            over[source] = 1
        return NO

    def _make_room(self, source: str, now: int) -> None:
        """Forget who has paid; if that is not half of them, also those who owe least."""
        if len(self._paid) < self._table or source in self._paid:
            return
        owing = {other: paid for other, paid in self._paid.items() if paid > now}
        excess = len(owing) - self._table // 2
        if excess > 0:
            owing = dict(sorted(owing.items(), key=lambda item: item[1])[excess:])
        self._paid = owing
