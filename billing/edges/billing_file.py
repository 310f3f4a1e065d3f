"""billing.yaml: who bills, and every customer in the fields of a case file.

Source: contract.md "Configuration". Strict: all errors at once, each with its place.
"""

import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints, model_validator

from billing.core import period
from billing.core.customer import Mode
from billing.edges.case_file import CustomerFields
from billing.edges.case_values import Name, Zone
from billing.edges.party_fields import Language, PartyFields, PaymentFields
from runtime import config
from runtime.config import ConfigModel, ConfigPath, FieldError

DEFAULT: Final = Path("/etc/pbx-billing/billing.yaml")

_LEVEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Series = Annotated[str, StringConstraints(pattern=r"^[A-Z]{1,4}$")]


class SeriesFields(ConfigModel):
    """The letters before the numbers: F2026-10-0001."""

    invoice: Series = "F"
    credit_note: Series = "A"


class BilledCustomer(CustomerFields):
    """A customer; `sources` are patterns of `source` in call records, such as `acme/*`."""

    name: Slug
    buyer: PartyFields
    sources: Annotated[tuple[Name, ...], Field(min_length=1)]
    language: Language = "fr"
    vat_reason: str = ""
    masked: bool = False

    @model_validator(mode="after")
    def _is_followed(self) -> "BilledCustomer":
        for level in self.tariffs:
            if not _LEVEL.fullmatch(level):
                raise FieldError(
                    "a level becomes a folder; expected letters, digits, - and _", "tariffs", level
                )
        for index, account in enumerate(self.accounts):
            if account.credit is not None or account.top_ups:
                raise FieldError(
                    "a credit is not followed from month to month yet; leave credit and top_ups out",
                    "accounts", index, "credit",
                )  # fmt: skip
        if Mode(self.invoices.mode) is not Mode.GLOBAL and not self.invoices.entity_option:
            raise FieldError(
                f"{self.invoices.mode} needs the paid entity option; set entity_option, or take global",
                "invoices", "mode",
            )  # fmt: skip
        return self


class BillingFile(ConfigModel):
    """The whole file."""

    data: ConfigPath = Path("/var/lib/pbx-billing")
    zone: Zone = "Europe/Paris"
    seller: PartyFields
    payment: PaymentFields = PaymentFields()
    due_days: Annotated[int, Field(ge=0, le=365)] = 30
    grace_days: Annotated[int, Field(ge=0, le=60)] = period.GRACE_DAYS
    series: SeriesFields = SeriesFields()
    einvoice: bool = True
    ubl: bool = False
    customers: tuple[BilledCustomer, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> "BillingFile":
        names = [customer.name for customer in self.customers]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise FieldError(f'"{name}" is there twice', "customers", index, "name")
        if self.series.invoice == self.series.credit_note:
            raise FieldError("credit notes need numbers of their own", "series", "credit_note")
        return self


def schema() -> dict[str, object]:
    """Its JSON Schema, for editors."""
    return config.schema(BillingFile)
