"""The house that bills: its seller, its customers, and whose a call record is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cached_property

from billing.core import period as periods
from billing.core.calendar import Span
from billing.core.document import Party, Payment
from billing.core.intake import LocalDay
from billing.service.bill import Terms
from telephony.cdr.record import Cdr


@dataclass(frozen=True)
class Contract:
    """A customer of the house. `sources` are patterns of records that may be its own (`acme/*`)."""

    name: str
    sources: tuple[str, ...]
    terms: Terms
    zone: str
    buyer: Party
    language: str
    vat_reason: str = ""
    is_masked: bool = False

    @cached_property
    def _spans(self) -> Mapping[str, Sequence[Span]]:
        """When each account, and each number of a line, counts."""
        found: dict[str, list[Span]] = {}
        for account in self.terms.customer.accounts:
            for name in (account.id, *account.line.numbers):
                found.setdefault(name, []).append(account.span)
        return found

    def may_have(self, source: str) -> bool:
        """Whether its records come from there."""
        return any(fnmatchcase(source, pattern) for pattern in self.sources)

    def knows(self, cdr: Cdr) -> bool:
        """Whether it has the account, or the number that called, on the day of the call."""
        spans = self._spans.get(cdr.account or cdr.caller)
        if spans is None:
            return False
        day = self.terms.local_day(cdr.setup_ms if cdr.answer_ms is None else cdr.answer_ms)
        return any(span.first <= day <= span.last for span in spans)


@dataclass(frozen=True)
class House:
    """Everything that billing.yaml says. `files` has it and its tariffs by path from its folder."""

    seller: Party
    payment: Payment
    due_days: int
    local_day: LocalDay
    """Of the seller: dates of issue."""
    contracts: Mapping[str, Contract]
    files: Mapping[str, bytes]
    grace_days: int = periods.GRACE_DAYS
    invoice_series: str = "F"
    credit_series: str = "A"

    @cached_property
    def _able(self) -> dict[str, list[Contract]]:
        """Who may have the records of each source that was asked for."""
        return {}

    def owner(self, cdr: Cdr) -> str:
        """The customer whose record it is; "": nobody's, or that of several.

        Of those with its source, who has the account on that day; if none has, the first of them.
        """
        claiming = self.claiming(cdr)
        if len(claiming) > 1:
            return ""
        able = claiming or [contract.name for contract in self._with(cdr.source)]
        return able[0] if able else ""

    def claiming(self, cdr: Cdr) -> Sequence[str]:
        """The customers with its source that have the account on that day: one, if all is well."""
        return [contract.name for contract in self._with(cdr.source) if contract.knows(cdr)]

    def _with(self, source: str) -> Sequence[Contract]:
        able = self._able.get(source)
        if able is None:
            able = [contract for contract in self.contracts.values() if contract.may_have(source)]
            self._able[source] = able
        return able

    def local_day_of(self, customer: str, instant_ms: int) -> date:
        """On the customer's clocks; nobody's: on those of the seller."""
        contract = self.contracts.get(customer)
        return (contract.terms.local_day if contract else self.local_day)(instant_ms)

    def today(self, now_ms: int) -> date:
        """The day that has begun for all customers: a month is over when it is over for the last of them."""
        days = [contract.terms.local_day(now_ms) for contract in self.contracts.values()]
        return min([self.local_day(now_ms), *days])
