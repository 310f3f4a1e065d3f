"""Records sorted before anything is priced: which are calls to rate, which cost nothing, which wait.

Keys and contents tell a duplicate from a conflict (B.r30); a number, an account and a period that was closed
meanwhile are looked up here (B.r15, B.r17, B.r32), and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from billing.core import calendar
from billing.core.customer import Account, Customer
from billing.core.number import Form, Number, Plan, normalise
from billing.core.period import OLDEST_DAYS
from billing.core.rated import Call, Reason, SetAside
from billing.core.tariff import MAX_SECONDS

DAY_MS: Final = 86_400_000
OLDEST_MS: Final = OLDEST_DAYS * DAY_MS
MOST_AHEAD_MS: Final = DAY_MS
INCOMING: Final = "INCOMING"

LocalDay = Callable[[int], date]
"""The customer's local day of a UTC instant in ms."""


@dataclass(frozen=True, slots=True)
class Record:
    """One call record as far as billing needs it; `content` is equal when two records say the same."""

    key: str
    content: str
    dialled: str
    instant_ms: int
    """The answer, or the set-up of a call that nobody answered (B.r7)."""
    seconds: int
    account: str = ""
    """"": whoever has the number `caller`."""
    caller: str = ""
    kind: str = "voice"
    incoming: bool = False
    received_ms: int | None = None


def judge(record: Record, known: str | None, now_ms: int | None) -> tuple[Reason, str] | None:
    """Why a record is set aside (B.r30), or None; `known` is the content of the one with its key."""
    if known is not None and known != record.content:
        return Reason.CONFLICT, "the same key as another record, which is kept"
    if record.seconds > MAX_SECONDS:
        return Reason.TOO_LONG, f"{record.seconds} seconds, more than a week"
    if now_ms is not None and record.instant_ms < now_ms - OLDEST_MS:
        return Reason.TOO_OLD, "older than 365 days"
    if now_ms is not None and record.instant_ms > now_ms + MOST_AHEAD_MS:
        return Reason.FUTURE, "more than 24 hours ahead"
    return None


@dataclass(frozen=True, slots=True)
class Free:
    """A call that costs nothing whatever the tariff: internal, incoming, or to an emergency number."""

    call: Call
    class_: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """What the records are; `duplicates` has the landing of each record that came again."""

    calls: tuple[Call, ...]
    free: tuple[Free, ...]
    suspense: tuple[SetAside, ...]
    quarantine: tuple[SetAside, ...]
    duplicates: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """Who the customer is, and where. `closed`: when each closed period was closed, UTC ms."""

    customer: Customer
    plan: Plan
    local_day: LocalDay
    closed: Mapping[int, int] = field(default_factory=dict)
    now_ms: int | None = None
    """None: nothing is too old, and nothing in the future."""

    def sort(self, records: Iterable[Record]) -> Sorted:
        """Sort records that arrived in this order; of two with one key the first is kept.

        What came before is a duplicate whatever became of it then: a record set aside is looked at once.
        """
        known: dict[str, str] = {}
        seen: set[tuple[str, str]] = set()
        kept: list[Record] = []
        quarantine: list[SetAside] = []
        duplicates: list[int] = []
        for record in records:
            if (record.key, record.content) in seen:
                duplicates.append(self._landing(record))
                continue
            seen.add((record.key, record.content))
            refused = judge(record, known.get(record.key), self.now_ms)
            if refused is not None:
                quarantine.append(self._aside(record, *refused))
            else:
                kept.append(record)
                known[record.key] = record.content
        kept.sort(key=lambda record: (record.instant_ms, record.key))
        return self._looked_up(kept, tuple(quarantine), tuple(duplicates))

    def _aside(self, record: Record, reason: Reason, detail: str) -> SetAside:
        return SetAside(record.key, reason, detail, self._landing(record))

    def _looked_up(
        self, kept: Iterable[Record], quarantine: tuple[SetAside, ...], duplicates: tuple[int, ...]
    ) -> Sorted:
        calls: list[Call] = []
        free: list[Free] = []
        suspense: list[SetAside] = []
        accounts = self.customer.by_id()
        by_number: dict[str, list[Account]] = {}
        for account in accounts.values():
            for number in account.line.numbers:
                by_number.setdefault(number, []).append(account)
        for record in kept:
            match self._call(record, accounts, by_number):
                case SetAside() as found:
                    suspense.append(found)
                case Free() as found:
                    free.append(found)
                case Call() as found:
                    calls.append(found)
        return Sorted(tuple(calls), tuple(free), tuple(suspense), quarantine, duplicates)

    def _call(
        self, record: Record, accounts: Mapping[str, Account], by_number: Mapping[str, Sequence[Account]]
    ) -> Call | Free | SetAside:
        day = self.local_day(record.instant_ms)
        own = accounts.get(record.account)
        able = by_number.get(record.caller, ()) if not record.account else (own,) if own else ()
        account = next((each for each in able if each.span.first <= day <= each.span.last), None)
        if account is None:
            who = f'line with the number "{record.caller}"'
            if record.account:
                who = f'account "{record.account}"'
            return self._aside(record, Reason.ACCOUNT, f"no {who} on {day}")
        number = normalise(record.dialled, self.plan)
        if record.incoming:
            return Free(self._made(record, account, day, number or _NO_NUMBER), INCOMING)
        if number is None:
            if not record.seconds:
                return Free(self._made(record, account, day, _NO_NUMBER), "")
            return self._aside(record, Reason.NUMBER, f'"{record.dialled}" has no form of a number')
        call = self._made(record, account, day, number)
        return Free(call, number.form) if number.form in (Form.EMERGENCY, Form.INTERNAL) else call

    def _made(self, record: Record, account: Account, day: date, number: Number) -> Call:
        period, landing = calendar.period_of(day), self._landing(record)
        return Call(
            key=record.key,
            account=account.id,
            line=account.id,
            entity=account.entity.on(day),
            offer=account.line.offer.on(day),
            kind=record.kind,
            number=number,
            answer_ms=record.instant_ms,
            day=day,
            period=period,
            seconds=record.seconds,
            late=0 if landing == period else landing,
        )

    def _landing(self, record: Record) -> int:
        """The period on whose invoice it goes: its own, or the first that was open when it came (B.r32)."""
        landing = calendar.period_of(self.local_day(record.instant_ms))
        received = record.received_ms
        while received is not None and landing in self.closed and received >= self.closed[landing]:
            landing = calendar.period_of(calendar.month(landing).last + timedelta(days=1))
        return landing


_NO_NUMBER: Final = Number(Form.INTERNAL, "", "")
