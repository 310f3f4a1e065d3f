"""The house that bills: its seller, its customers, and whose a call record is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from functools import cached_property

from billing.core import period as periods
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
    def _payers(self) -> frozenset[str]:
        accounts = self.terms.customer.accounts
        numbers = {number for account in accounts for number in account.line.numbers}
        return frozenset({account.id for account in accounts} | numbers)

    def may_have(self, source: str) -> bool:
        """Whether its records come from there."""
        return any(fnmatchcase(source, pattern) for pattern in self.sources)

    def knows(self, cdr: Cdr) -> bool:
        """Whether it has the account, or the number that called."""
        return (cdr.account or cdr.caller) in self._payers


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
        """The customer whose record it is: of those with its source, who knows the account; "": nobody."""
        able = self._able.get(cdr.source)
        if able is None:
            able = [contract for contract in self.contracts.values() if contract.may_have(cdr.source)]
            self._able[cdr.source] = able
        knowing = (contract.name for contract in able if contract.knows(cdr))
        return next(knowing, able[0].name if able else "")

    def local_day_of(self, customer: str, instant_ms: int) -> date:
        """On the customer's clocks; nobody's: on those of the seller."""
        contract = self.contracts.get(customer)
        return (contract.terms.local_day if contract else self.local_day)(instant_ms)

    def today(self, now_ms: int) -> date:
        """The day that has begun for all customers: a month is over when it is over for the last of them."""
        days = [contract.terms.local_day(now_ms) for contract in self.contracts.values()]
        return min([self.local_day(now_ms), *days])
