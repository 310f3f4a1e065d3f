"""Files that licences come in: read into what is installed, reported, and named where one is refused."""

from collections.abc import Sequence

from licence_master.edges import inventory
from licence_master.edges.orders import FileReport, InstallOrder
from licence_master.edges.problems import ProblemError
from licence_master.service.administration import Administration, Document, Inventory, Restocking
from licensing.codes import Code, Refusal, sentence
from licensing.files import licence_file
from licensing.files.inventory import Item
from licensing.files.licence_file import PublicKey, SignedFile, SignedList
from licensing.terms import day
from runtime.config import ConfigErrors
from runtime.signing import verify

_OF_NO_FILE = (Code.TOO_LARGE, Code.DISK_FULL)
"""Said of all files together."""


def documents(order: InstallOrder, roots: tuple[PublicKey, ...]) -> list[Document]:
    """The files of an order; ProblemError names the one that cannot be read, with its line."""
    return [_document(file.name, file.content.encode(), roots) for file in order.files]


def report(document: Document) -> FileReport:
    """What came in a file."""
    match document.content:
        case SignedFile() as signed:
            return FileReport(
                name=document.name,
                source="signed",
                issuer=signed.issuer,
                project=signed.licence.project,
                issue_no=signed.licence.issue_no,
                until_ms=signed.licence.until_ms,
            )
        case SignedList() as revoked:
            return FileReport(name=document.name, source="revocations", issue_no=revoked.list.number)
        case Inventory() as stated:
            return FileReport(name=document.name, source="vendor" if stated.vendor else "statement")


async def blamed(
    refusals: Sequence[Refusal], files: Sequence[Document], again: bool, administration: Administration
) -> ProblemError:
    """The refusals of an installation with the name of the file that they are about.

    It is the first that does not come in after those before it.
    """
    if refusals[0].code in _OF_NO_FILE:
        return ProblemError(*refusals)
    turns = sorted(files, key=lambda file: file.turn)
    for count, file in enumerate(turns, start=1):
        tried = await administration.install(turns[:count], again=again, dry_run=True, actor="")
        if not isinstance(tried, Restocking):
            return ProblemError(*(_named(file, refusal) for refusal in refusals))
    return ProblemError(*refusals)  # it would come in now


def _named(file: Document, refusal: Refusal) -> Refusal:
    found = refusal.detail or sentence(refusal.code)
    if isinstance(file.content, SignedFile):
        licence = file.content.licence
        if refusal.code is Code.NOT_YET_VALID and licence.from_ms is not None:
            found = f"it is valid from {day.shown(day.of_ms(licence.from_ms))} on"
        if refusal.code is Code.EXPIRED and licence.until_ms is not None:
            found = f"it was valid until {day.shown(day.of_ms(licence.until_ms))}"
    return Refusal(refusal.code, f"{file.name}: {found}", refusal.advice)


def _document(name: str, content: bytes, roots: tuple[PublicKey, ...]) -> Document:
    if inventory.is_signed(name, content):
        signed = licence_file.read(content, roots, verify)
        if isinstance(signed, Refusal):
            named = Refusal(signed.code, f"{name}: {signed.sentence}", signed.advice)
            raise ProblemError(named, bad_data=signed.code in licence_file.DAMAGED)
        return Document(name, signed)
    try:
        read = inventory.read(name, content)
    except ConfigErrors as errors:
        found = [Refusal(Code.INVALID_REQUEST, str(error)) for error in errors.errors]
        raise ProblemError(*found, bad_data=True) from errors
    items = tuple(Item(row.type, row.count, row.place, row.mac, row.project) for row in read.rows)
    return Document(name, Inventory(read.digest, items, read.vendor))
