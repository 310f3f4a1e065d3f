"""What a customer owes for a period, in cents: lines, and their sums by the rules B.r3 and B.r4.

Source: seed 000 (four invoice modes); docs/billing.md. Amounts are int cents, net of VAT unless named gross.
"""

from dataclasses import dataclass
from enum import StrEnum


class Sort(StrEnum):
    """What a line bills."""

    CALLS = "calls"
    FEE = "fee"
    """The monthly fee of an account or of its offer."""
    OPTION = "option"
    ENTITIES = "entities"
    """The paid option without which there is one invoice and no entity."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: an atom, or equal ones with a quantity. `quantity` x `unit_cents` is what it costs."""

    sort: Sort
    item: str
    """Class of destination (FR_MOBILE), name of the offer, kind of the option."""
    label: str
    """What the tariff or the configuration calls it; "" = the item's own name."""
    entity: str
    """"": none."""
    account: str
    """"": of the entity or the customer as a whole."""
    origin: int
    """Period that it belongs to, yyyymm; earlier than the invoice's own for late calls."""
    quantity: int
    unit_cents: int
    calls: int = 0
    seconds: int = 0
    """Billed seconds of those calls."""
    days: tuple[tuple[str, str], ...] = ()
    """Local days on which a fee or option was on, both included, ISO dates."""

    @property
    def net_cents(self) -> int:
        """What it costs."""
        return self.quantity * self.unit_cents


@dataclass(frozen=True, slots=True)
class Invoice:
    """One invoice of a period. `sections` has the names of its entities where they are shown, else ()."""

    entity: str
    """Whose it is in the modes per_entity and mixed (names joined by " + "); "" = the whole customer's."""
    period: int
    lines: tuple[Line, ...]
    vat_bp: int
    """Rate in basis points: 2000 = 20 %."""
    sections: tuple[str, ...] = ()
    vat_left_cents: int | None = None
    """Of a credit note: what may be given back at most of the VAT of its invoice (B.r33); None: no bound."""
    is_last: bool = False
    """Of a credit note: it credits the rest, and so takes all VAT that is left."""

    @property
    def net_cents(self) -> int:
        """Sum of the lines."""
        return sum(line.net_cents for line in self.lines)

    @property
    def vat_cents(self) -> int:
        """VAT on the sum of the lines, half up, away from zero below zero (B.r4)."""
        exact = self.net_cents * self.vat_bp
        vat = (abs(exact) * 2 + 10_000) // 20_000 * (1 if exact >= 0 else -1)
        if self.vat_left_cents is None:
            return vat
        return self.vat_left_cents if self.is_last else min(vat, self.vat_left_cents)

    @property
    def gross_cents(self) -> int:
        """What is to be paid."""
        return self.net_cents + self.vat_cents
