"""Proxied non-INVITE transactions: the server side towards the phone, the client side towards the PBX.

The tables are those of RFC 3261 17.1.2 and 17.2.2; time is an argument. Each fixed delay has a queue of its
own, so that opening and ending a transaction costs appends; entries that no longer count are skipped.

A transaction that ended is kept for repeats until Timer J (request over UDP) or Timer K (over a connection),
whichever belongs to it; the other of the two is never later and changes nothing that can be seen.
"""

from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from telephony.address import Flow, source_of

T1_MS: Final = 500
T2_MS: Final = 4_000
T4_MS: Final = 5_000
GIVE_UP_MS: Final = 64 * 500

Matter = TypeVar("Matter")


class State:
    """The states of either side; IDLE: the client side has not sent yet. Numbers, for they key the tables."""

    IDLE: Final = 0
    TRYING: Final = 1
    PROCEEDING: Final = 2
    COMPLETED: Final = 3
    TERMINATED: Final = 4


class Event:
    """What moves a transaction."""

    REQUEST: Final = 0
    SEND: Final = 1
    PROVISIONAL: Final = 2
    FINAL: Final = 3
    TIMER_E: Final = 4
    TIMER_F: Final = 5
    TIMER_J: Final = 6
    TIMER_K: Final = 7


Table = dict[tuple[int, int], int]

SERVER: Table = {
    (State.TRYING, Event.REQUEST): State.TRYING,
    (State.TRYING, Event.PROVISIONAL): State.PROCEEDING,
    (State.TRYING, Event.FINAL): State.COMPLETED,
    (State.PROCEEDING, Event.REQUEST): State.PROCEEDING,
    (State.PROCEEDING, Event.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Event.FINAL): State.COMPLETED,
    (State.COMPLETED, Event.REQUEST): State.COMPLETED,
    (State.COMPLETED, Event.FINAL): State.COMPLETED,
    (State.COMPLETED, Event.TIMER_J): State.TERMINATED,
}
CLIENT: Table = {
    (State.IDLE, Event.SEND): State.TRYING,
    (State.TRYING, Event.TIMER_E): State.TRYING,
    (State.TRYING, Event.TIMER_F): State.TERMINATED,
    (State.TRYING, Event.PROVISIONAL): State.PROCEEDING,
    (State.TRYING, Event.FINAL): State.COMPLETED,
    (State.PROCEEDING, Event.TIMER_E): State.PROCEEDING,
    (State.PROCEEDING, Event.TIMER_F): State.TERMINATED,
    (State.PROCEEDING, Event.PROVISIONAL): State.PROCEEDING,
    (State.PROCEEDING, Event.FINAL): State.COMPLETED,
    (State.COMPLETED, Event.PROVISIONAL): State.COMPLETED,
    (State.COMPLETED, Event.FINAL): State.COMPLETED,
    (State.COMPLETED, Event.TIMER_K): State.TERMINATED,
}


class Transaction(Generic[Matter]):
    """One proxied request: where it came from, what was sent and answered, and what it is about."""

    __slots__ = (
        "answer", "branch", "client", "ends_ms", "flow", "forwarded", "give_up_ms", "key", "matter",
        "reliable", "resend_delay_ms", "server", "source", "timed_out",
    )  # fmt: skip

    def __init__(self, key: Hashable, flow: Flow, matter: Matter, source: str, *, reliable: bool) -> None:
        self.key = key
        self.flow = flow
        self.matter = matter
        self.source = source
        self.reliable = reliable
        self.server: int = State.TRYING
        self.client: int = State.IDLE
        self.branch = b""
        self.forwarded = b""
        self.answer = b""
        self.resend_delay_ms = T1_MS
        self.give_up_ms = 0
        self.ends_ms = 0
        self.timed_out = False

    @property
    def pending(self) -> bool:
        """Whether the PBX has the request and has not answered it."""
        return self.client == State.TRYING or self.client == State.PROCEEDING

    @property
    def unfinished(self) -> bool:
        """Whether the phone has no final answer and still may get one."""
        return self.server == State.TRYING or self.server == State.PROCEEDING


Entry = tuple[int, Transaction[Matter]]
Queue = deque[Entry[Matter]]


class Transactions(Generic[Matter]):
    """At most `limit` transactions; the oldest completed one makes room for a new one.

    One source (`telephony.address.source_of`) holds at most half of them unfinished.
    """

    def __init__(self, limit: int, *, reliable_client: bool = False) -> None:
        self._limit = limit
        self._reliable_client = reliable_client
        self._timer_k_ms = 0 if reliable_client else T4_MS
        self._by_key: dict[Hashable, Transaction[Matter]] = {}
        self._by_branch: dict[bytes, Transaction[Matter]] = {}
        self._resends: dict[int, Queue[Matter]] = {
            delay_ms: deque() for delay_ms in (T1_MS, 2 * T1_MS, 4 * T1_MS, T2_MS)
        }
        self._give_ups: Queue[Matter] = deque()
        # What ended, in the order in which it will be forgotten: requests over UDP, over connections.
        self._kept: deque[Transaction[Matter]] = deque()
        self._kept_reliable: deque[Transaction[Matter]] = deque()
        self._unfinished = 0
        self._unfinished_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def crowded(self) -> bool:
        """Whether three quarters of the places are taken by unfinished ones: the rest is for the known."""
        return 4 * self._unfinished >= 3 * self._limit

    @property
    def pending(self) -> int:
        """How many have no final answer yet."""
        return self._unfinished

    def find(self, key: Hashable) -> Transaction[Matter] | None:
        """The transaction that a request with this key repeats."""
        return self._by_key.get(key)

    def find_branch(self, branch: bytes) -> Transaction[Matter] | None:
        """The transaction whose forwarded request carries this branch."""
        return self._by_branch.get(branch)

    def open(
        self, key: Hashable, flow: Flow, matter: Matter, now_ms: int, *, reliable: bool = False
    ) -> Transaction[Matter] | None:
        """Begin the server side; None when unfinished ones take all places, or half for this source."""
        source = source_of(flow.host)
        held = self._unfinished_of.get(source, 0)
        if 2 * held >= self._limit or (len(self._by_key) >= self._limit and not self._evict()):
            return None
        self._unfinished_of[source] = held + 1
        self._unfinished += 1
        transaction = Transaction(key, flow, matter, source, reliable=reliable)
        self._by_key[key] = transaction
        self._give_up_later(transaction, now_ms)
        return transaction

    def send(self, transaction: Transaction[Matter], branch: bytes, data: bytes, now_ms: int) -> None:
        """Begin the client side: `data` is repeated by Timer E until there is an answer."""
        transaction.client = CLIENT[transaction.client, Event.SEND]
        transaction.branch = branch
        transaction.forwarded = data
        self._by_branch[branch] = transaction
        if transaction.give_up_ms != now_ms + GIVE_UP_MS:
            self._give_up_later(transaction, now_ms)
        if not self._reliable_client:
            self._resends[T1_MS].append((now_ms + T1_MS, transaction))

    def provisional(self, transaction: Transaction[Matter], data: bytes) -> None:
        """A provisional answer came from the PBX and goes to the phone when `data` is not empty."""
        transaction.client = CLIENT[transaction.client, Event.PROVISIONAL]
        if data and transaction.server != State.COMPLETED:
            transaction.server = SERVER[transaction.server, Event.PROVISIONAL]
            transaction.answer = data

    def final(self, transaction: Transaction[Matter], data: bytes, now_ms: int) -> None:
        """The final answer, of the PBX or our own, is kept for repeats of the request."""
        if transaction.unfinished:
            self._finish(transaction.source)
        transaction.server = SERVER[transaction.server, Event.FINAL]
        transaction.answer = data
        transaction.forwarded = b""
        if transaction.pending:
            transaction.client = CLIENT[transaction.client, Event.FINAL]
        else:
            transaction.client = State.TERMINATED
        if transaction.reliable:
            transaction.ends_ms = now_ms + self._timer_k_ms
            self._kept_reliable.append(transaction)
        else:
            transaction.ends_ms = now_ms + GIVE_UP_MS
            self._kept.append(transaction)

    def due(self, now_ms: int) -> list[tuple[int, Transaction[Matter]]]:
        """Fire the timers up to now: what to send again (TIMER_E) and what timed out (TIMER_F)."""
        fired: list[tuple[int, Transaction[Matter]]] = []
        for queue in self._resends.values():
            while queue and queue[0][0] <= now_ms:
                transaction = queue.popleft()[1]
                if transaction.pending:
                    self._resend_later(transaction, now_ms)
                    fired.append((Event.TIMER_E, transaction))
        queue = self._give_ups
        while queue and (queue[0][0] <= now_ms or not _may_give_up(queue[0])):
            entry = queue.popleft()
            if _may_give_up(entry):
                self._time_out(entry[1])
                fired.append((Event.TIMER_F, entry[1]))
        for kept in (self._kept, self._kept_reliable):
            while kept and kept[0].ends_ms <= now_ms:
                self._forget(kept.popleft())
        return fired

    def next_timer(self) -> int | None:
        """When `due` has work, in monotonic ms."""
        times = [kept[0].ends_ms for kept in (self._kept, self._kept_reliable) if kept]
        for queue in self._resends.values():
            while queue and not queue[0][1].pending:
                queue.popleft()
            if queue:
                times.append(queue[0][0])
        while self._give_ups and not _may_give_up(self._give_ups[0]):
            self._give_ups.popleft()
        if self._give_ups:
            times.append(self._give_ups[0][0])
        return min(times, default=None)

    def _give_up_later(self, transaction: Transaction[Matter], now_ms: int) -> None:
        transaction.give_up_ms = now_ms + GIVE_UP_MS
        self._give_ups.append((transaction.give_up_ms, transaction))
        if len(self._give_ups) > 4 * self._limit:  # one that waits long keeps the finished ones behind it
            self._give_ups = deque(entry for entry in self._give_ups if _may_give_up(entry))

    def _resend_later(self, transaction: Transaction[Matter], now_ms: int) -> None:
        transaction.client = CLIENT[transaction.client, Event.TIMER_E]
        proceeding = transaction.client == State.PROCEEDING
        delay_ms = T2_MS if proceeding else min(2 * transaction.resend_delay_ms, T2_MS)
        transaction.resend_delay_ms = delay_ms
        self._resends[delay_ms].append((now_ms + delay_ms, transaction))

    def _time_out(self, transaction: Transaction[Matter]) -> None:
        if transaction.client != State.IDLE:
            transaction.client = CLIENT[transaction.client, Event.TIMER_F]
        transaction.timed_out = True

    def _finish(self, source: str) -> None:
        self._unfinished -= 1
        held = self._unfinished_of[source] - 1
        if held:
            self._unfinished_of[source] = held
        else:
            del self._unfinished_of[source]

    def _evict(self) -> bool:
        kept = self._kept or self._kept_reliable
        if kept:
            self._forget(kept.popleft())
            return True
        return False

    def _forget(self, transaction: Transaction[Matter]) -> None:
        if transaction.client == State.COMPLETED:
            transaction.client = CLIENT[transaction.client, Event.TIMER_K]
        transaction.server = SERVER[transaction.server, Event.TIMER_J]
        self._by_key.pop(transaction.key, None)
        self._by_branch.pop(transaction.branch, None)


def _may_give_up(entry: Entry[Matter]) -> bool:
    """Whether Timer F still counts: the PBX has not answered, or nothing was sent and nothing answered."""
    due_ms, transaction = entry
    waiting = transaction.client == State.IDLE and transaction.server == State.TRYING
    return transaction.give_up_ms == due_ms and (waiting or transaction.pending)
