"""billing.yaml and its tariffs to the house of the service: from the disk, or as they stood once."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from billing.edges import case, instants
from billing.edges.billing_file import BilledCustomer, BillingFile
from billing.edges.case import Standing
from billing.edges.case_file import CaseFile
from billing.service.house import Contract, House
from runtime import config
from runtime.config import ConfigErrors, text_of

Read = Callable[[Path], bytes]

DRAFTS: Final = "DRAFT-"
"""Before the month in the numbers of invoices that nobody issued."""


def read(path: Path) -> tuple[BillingFile, House]:
    """The file and what it describes; ConfigErrors with all that is wrong with it, or with a tariff."""
    return _read(path, Path.read_bytes)


def of_files(files: Mapping[str, bytes]) -> House:
    """The house that these files described; the first one is billing.yaml."""
    first = next(iter(files))
    return _read(Path(first), lambda path: files[path.as_posix()])[1]


def _read(path: Path, read_bytes: Read) -> tuple[BillingFile, House]:
    files: dict[str, bytes] = {}

    def noted(named: Path) -> bytes:
        near = named.is_relative_to(path.parent)
        name = (named.relative_to(path.parent) if near else named).as_posix()
        files.setdefault(name, read_bytes(named))
        return files[name]

    try:
        content = noted(path)
    except OSError as error:
        place = config.ConfigError(str(path), 1, 1, "", f"cannot be read: {error.strerror}")
        raise ConfigErrors([place]) from error
    written = config.parse(text_of(str(path), content), str(path), BillingFile)
    where = instants.zone(written.zone)
    assert where is not None, "the model has looked"
    contracts: dict[str, Contract] = {}
    errors = []
    for index, customer in enumerate(written.customers):
        try:
            standing = Standing(path, ("customers", index), noted)
            contracts[customer.name] = _contract(customer, standing)
        except ConfigErrors as wrong:
            errors += [error for error in wrong.errors if error not in errors]
    if errors:
        raise ConfigErrors(errors)
    house = House(
        seller=written.seller.party,
        payment=written.payment.payment,
        due_days=written.due_days,
        local_day=instants.local_days(where),
        contracts=contracts,
        files=files,
        grace_days=written.grace_days,
        invoice_series=written.series.invoice,
        credit_series=written.series.credit_note,
    )
    return written, house


def _contract(customer: BilledCustomer, standing: Standing) -> Contract:
    return Contract(
        name=customer.name,
        sources=customer.sources,
        terms=case.terms_of(customer, standing),
        zone=customer.zone,
        buyer=customer.buyer.party,
        language=customer.language,
        vat_reason=customer.vat_reason,
        is_masked=customer.masked,
    )


def of_case(path: Path) -> House | None:
    """The seller and the one customer of a case file that names both; None: it does not. ConfigErrors."""
    written = config.load(path, CaseFile)
    if written.seller is None or written.buyer is None:
        return None
    terms = case.terms_of(written, Standing(path))
    contract = Contract(
        name=path.stem,
        sources=(),
        terms=terms,
        zone=written.zone,
        buyer=written.buyer.party,
        language=written.language,
        vat_reason=written.vat_reason,
    )
    return House(
        seller=written.seller.party,
        payment=written.payment.payment,
        due_days=written.due_days,
        local_day=terms.local_day,
        contracts={contract.name: contract},
        files={},
        invoice_series=DRAFTS,
    )
