"""The invoice as HTML by Jinja2 and as PDF/A-3b by WeasyPrint; the same page gives the same bytes."""

from importlib import resources

from billing.edges.extra import einvoice_needed
from billing.edges.pdf.usage import Plots
from billing.edges.pdf.view import Page

with einvoice_needed():
    import jinja2
    import weasyprint  # type: ignore[import-untyped]


class NothingIsFetched(weasyprint.URLFetcher):  # type: ignore[misc]
    """A page brings all it needs; a name or an address in it never makes us ask the network or the disk."""

    def fetch(self, url: str, headers: object = None) -> object:
        """Refuse."""
        raise ValueError(f"an invoice refers to nothing outside of it: {url}")


def html(page: Page, plots: Plots) -> str:
    """The page, all texts escaped."""
    room = resources.files("billing.edges.pdf")
    template, css = (
        room.joinpath(name).read_text(encoding="utf-8") for name in ("invoice.html.j2", "invoice.css")
    )
    engine = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return engine.from_string(template).render(page=page, plots=plots, css=css)


def pdf(page: Page, plots: Plots) -> bytes:
    """The printed page; fonts are embedded, nothing is fetched."""
    source = weasyprint.HTML(string=html(page, plots), url_fetcher=NothingIsFetched())
    made: bytes = source.write_pdf(pdf_variant="pdf/a-3b", pdf_identifier=page.number.encode())
    return made
