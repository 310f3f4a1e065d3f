"""Proxied non-INVITE transactions: the server side towards the phone, the client side towards the PBX.

The tables are those of RFC 3261 17.1.2 and 17.2.2; time is an argument. Each fixed delay has a queue of its
own, so that opening and ending a transaction costs appends; entries that no longer count are skipped.
"""

from collections import deque
from collections.abc import Hashable
from enum import StrEnum
from typing import Generic, TypeVar

from telephony.address import Flow

T1_MS = 500
T2_MS = 4_000
T4_MS = 5_000
GIVE_UP_MS = 64 * T1_MS

Matter = TypeVar("Matter")


class State(StrEnum):
    """The states of either side; IDLE: the client side has not sent yet."""

    IDLE = "idle"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    TERMINATED = "terminated"


class Event(StrEnum):
    """What moves a transaction."""

    REQUEST = "request"
    SEND = "send"
    PROVISIONAL = "provisional"
    FINAL = "final"
    TIMER_E = "timer_e"
    TIMER_F = "timer_f"
    TIMER_J = "timer_j"
    TIMER_K = "timer_k"


Table = dict[tuple[State, Event], State]

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
PENDING = (State.TRYING, State.PROCEEDING)


class Transaction(Generic[Matter]):
    """One proxied request: where it came from, what was sent and answered, and what it is about."""

    __slots__ = (
        "answer", "branch", "client", "flow", "forwarded", "give_up_ms", "key", "matter", "reliable",
        "resend_delay_ms", "server", "timed_out",
    )  # fmt: skip

    def __init__(self, key: Hashable, flow: Flow, matter: Matter, *, reliable: bool) -> None:
        self.key = key
        self.flow = flow
        self.matter = matter
        self.reliable = reliable
        self.server = State.TRYING
        self.client = State.IDLE
        self.branch = b""
        self.forwarded = b""
        self.answer = b""
        self.resend_delay_ms = T1_MS
        self.give_up_ms = 0
        self.timed_out = False


Entry = tuple[int, Event, Transaction[Matter]]


class Transactions(Generic[Matter]):
    """At most `limit` transactions; the oldest completed one makes room for a new one."""

    def __init__(self, limit: int, *, reliable_client: bool = False) -> None:
        self._limit = limit
        self._reliable_client = reliable_client
        self._timer_k_ms = 0 if reliable_client else T4_MS
        self._by_key: dict[Hashable, Transaction[Matter]] = {}
        self._by_branch: dict[bytes, Transaction[Matter]] = {}
        self._completed: deque[Transaction[Matter]] = deque()
        delays = {0, T1_MS, 2 * T1_MS, 4 * T1_MS, T2_MS, T4_MS, GIVE_UP_MS}
        self._queues: dict[int, deque[Entry[Matter]]] = {delay: deque() for delay in sorted(delays)}

    def __len__(self) -> int:
        return len(self._by_key)

    def find(self, key: Hashable) -> Transaction[Matter] | None:
        """The transaction that a request with this key repeats."""
        return self._by_key.get(key)

    def find_branch(self, branch: bytes) -> Transaction[Matter] | None:
        """The transaction whose forwarded request carries this branch."""
        return self._by_branch.get(branch)

    def open(
        self, key: Hashable, flow: Flow, matter: Matter, now_ms: int, *, reliable: bool = False
    ) -> Transaction[Matter] | None:
        """Begin the server side; None when all places are taken by unfinished transactions.

        A request that came by a `reliable` transport is not repeated: its answer is not kept (Timer J is 0).
        """
        if len(self._by_key) >= self._limit and not self._evict():
            return None
        transaction = Transaction(key, flow, matter, reliable=reliable)
        self._by_key[key] = transaction
        transaction.give_up_ms = self._schedule(transaction, Event.TIMER_F, GIVE_UP_MS, now_ms)
        return transaction

    def send(self, transaction: Transaction[Matter], branch: bytes, data: bytes, now_ms: int) -> None:
        """Begin the client side: `data` is repeated by Timer E until there is an answer."""
        transaction.client = CLIENT[transaction.client, Event.SEND]
        transaction.branch = branch
        transaction.forwarded = data
        self._by_branch[branch] = transaction
        if transaction.give_up_ms != now_ms + GIVE_UP_MS:
            transaction.give_up_ms = self._schedule(transaction, Event.TIMER_F, GIVE_UP_MS, now_ms)
        if not self._reliable_client:
            self._schedule(transaction, Event.TIMER_E, T1_MS, now_ms)

    def provisional(self, transaction: Transaction[Matter], data: bytes) -> None:
        """A provisional answer came from the PBX and goes to the phone when `data` is not empty."""
        transaction.client = CLIENT[transaction.client, Event.PROVISIONAL]
        if data and transaction.server is not State.COMPLETED:
            transaction.server = SERVER[transaction.server, Event.PROVISIONAL]
            transaction.answer = data

    def final(self, transaction: Transaction[Matter], data: bytes, now_ms: int) -> None:
        """The final answer, of the PBX or our own, is kept for repeats of the request until Timer J."""
        transaction.server = SERVER[transaction.server, Event.FINAL]
        transaction.answer = data
        transaction.forwarded = b""
        if transaction.client in PENDING:
            transaction.client = CLIENT[transaction.client, Event.FINAL]
            self._schedule(transaction, Event.TIMER_K, self._timer_k_ms, now_ms)
        else:
            transaction.client = State.TERMINATED
        self._completed.append(transaction)
        self._schedule(transaction, Event.TIMER_J, 0 if transaction.reliable else GIVE_UP_MS, now_ms)

    def due(self, now_ms: int) -> list[tuple[Event, Transaction[Matter]]]:
        """Fire the timers up to now: what to send again (TIMER_E) and what timed out (TIMER_F)."""
        fired: list[tuple[Event, Transaction[Matter]]] = []
        for queue in self._queues.values():
            while queue and (queue[0][0] <= now_ms or not _counts(queue[0])):
                entry = queue.popleft()
                if _counts(entry):
                    self._fire(entry, now_ms, fired)
        return fired

    def next_timer(self) -> int | None:
        """When `due` has work, in monotonic ms."""
        soonest: int | None = None
        for queue in self._queues.values():
            while queue and not _counts(queue[0]):
                queue.popleft()
            if queue and (soonest is None or queue[0][0] < soonest):
                soonest = queue[0][0]
        return soonest

    def _schedule(self, transaction: Transaction[Matter], event: Event, delay_ms: int, now_ms: int) -> int:
        due_ms = now_ms + delay_ms
        self._queues[delay_ms].append((due_ms, event, transaction))
        return due_ms

    def _fire(
        self, entry: Entry[Matter], now_ms: int, fired: list[tuple[Event, Transaction[Matter]]]
    ) -> None:
        _, event, transaction = entry
        if event is Event.TIMER_J:
            transaction.server = SERVER[transaction.server, event]
            self._forget(transaction)
            return
        if transaction.client is not State.IDLE:
            transaction.client = CLIENT[transaction.client, event]
        if event is Event.TIMER_E:
            proceeding = transaction.client is State.PROCEEDING
            delay_ms = T2_MS if proceeding else min(2 * transaction.resend_delay_ms, T2_MS)
            transaction.resend_delay_ms = delay_ms
            self._schedule(transaction, event, delay_ms, now_ms)
        elif event is Event.TIMER_F:
            transaction.timed_out = True
        if event is not Event.TIMER_K:
            fired.append((event, transaction))

    def _evict(self) -> bool:
        while self._completed:
            transaction = self._completed.popleft()
            if transaction.server is not State.TERMINATED:
                transaction.server = State.TERMINATED
                self._forget(transaction)
                return True
        return False

    def _forget(self, transaction: Transaction[Matter]) -> None:
        transaction.client = State.TERMINATED
        self._by_key.pop(transaction.key, None)
        self._by_branch.pop(transaction.branch, None)
        while self._completed and self._completed[0].server is State.TERMINATED:
            self._completed.popleft()


def _counts(entry: Entry[Matter]) -> bool:
    due_ms, event, transaction = entry
    match event:
        case Event.TIMER_E:
            return transaction.client in PENDING
        case Event.TIMER_F:
            waiting = transaction.client is State.IDLE and transaction.server is State.TRYING
            return transaction.give_up_ms == due_ms and (waiting or transaction.client in PENDING)
        case Event.TIMER_J:
            return transaction.server is State.COMPLETED
        case Event.TIMER_K:
            return transaction.client is State.COMPLETED
        case _:
            return False
