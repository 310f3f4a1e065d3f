"""What billing can do only with an extra of the package, and how to get it."""

from collections.abc import Iterator
from contextlib import contextmanager


class ExtraMissingError(RuntimeError):
    """An extra, or a library of the system that it needs, is not installed. The text says what to install."""


HINT = (
    "PDF and e-invoices need the extra [einvoice]: pip install 'pbx-licences[einvoice]', and on Debian the "
    "packages libpango-1.0-0, libpangoft2-1.0-0, libharfbuzz-subset0 and fonts-inter; "
    "CSV and plain HTML come out without it"
)


@contextmanager
def einvoice_needed() -> Iterator[None]:
    """Around an import of the extra's libraries: ExtraMissingError where one is not there.

    WeasyPrint raises OSError where the system has no Pango.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        raise ExtraMissingError(f"{HINT} ({error})") from error
