"""Who sells, who buys and how it is paid, as billing.yaml and cases have it."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from billing.core.document import Party, Payment
from billing.edges.case_values import Name
from runtime.config import ConfigModel

Language = Literal["fr", "it", "de", "en"]


class PartyFields(ConfigModel):
    """Who sells or buys, as it is printed on invoices."""

    name: Name
    street: Name
    postcode: Name
    city: Name
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
    vat_id: str = ""
    legal_id: str = ""
    endpoint: str = ""
    email: str = ""

    @property
    def party(self) -> Party:
        """As documents have it."""
        return Party(**self.model_dump())


class PaymentFields(ConfigModel):
    """How to pay."""

    iban: str = ""
    bic: str = ""
    terms: str = ""

    @property
    def payment(self) -> Payment:
        """As documents have it."""
        return Payment(self.iban, self.bic, self.terms)
