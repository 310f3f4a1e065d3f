"""A rated call as one price level may see it; there is no field for what another level pays.

Source: B.J7, B.E18; docs/invoices.md. Instants are UTC epoch ms, prices int micro-euro, times whole seconds.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Detail:
    """One row of the call detail."""

    key: str
    """(source, call_ref, leg) as one text."""
    level: str
    """`customer`, or the name of the tariff that priced it: `resale`."""
    start_ms: int
    """The answer instant; unanswered, the set-up instant."""
    period: int
    """Month of that instant in the customer's zone, yyyymm; earlier than the invoice's for a late call."""
    day: int
    """Day of that month."""
    account: str
    entity: str
    """"": none."""
    number: str
    """Normalised: +33612345678, 3615."""
    kind: str
    """voice, fax or sms."""
    class_: str
    seconds: int
    """Talk time."""
    billed_seconds: int
    in_basket_seconds: int
    price: int
    """Micro-euro."""
    label: str = ""
    """What the tariff calls the class; "": nothing."""
