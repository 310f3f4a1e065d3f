"""The invoice and other tables as plain HTML: no library, readable everywhere."""

from collections.abc import Iterable, Sequence
from html import escape

from billing.edges.pdf.usage import Plots
from billing.edges.pdf.view import Page, Section

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1c2733;max-width:52rem;margin:2rem auto}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #dfe4ea}"
    "th:nth-child(n+3),td:nth-child(n+3){text-align:right;white-space:nowrap}"
    "dl{display:grid;grid-template-columns:max-content auto;gap:0 1.5rem}dd{margin:0}"
)


def invoice(page: Page, plots: Plots) -> bytes:
    """All that the printed page says, in the same words."""
    words = page.words
    blocks = [
        f"{heading(page.title)}<p>{escape(page.subtitle)}</p>",
        paragraph(page.seller),
        f"<p>{escape(words['bill_to'])}</p>{paragraph(page.buyer)}",
        pairs(page.facts),
        f"<p>{escape(page.due[0])} <strong>{escape(page.due[1])}</strong> {escape(page.due[2])}</p>",
        pairs(page.pay),
        *(part(section, words) for section in page.sections),
        pairs(page.totals),
        *(f"<h2>{escape(caption)}</h2>{plot}" for caption, plot in plots),
        *(f"<p>{escape(note)}</p>" for note in page.notes),
        f"<p>{escape(page.imprint)}</p>",
    ]
    return document(page.language, page.title, blocks)


def part(section: Section, words: dict[str, str]) -> str:
    """One section with its lines."""
    heading = f"<h2>{escape(section.heading)} {escape(section.subtotal)}</h2>" if section.heading else ""
    columns = [words[key] for key in ("account", "item", "quantity", "unit", "net")]
    rows = [
        (row.account, f"{row.item} {row.note}".strip(), row.quantity, row.unit, row.net)
        for row in section.rows
    ]
    return heading + table(columns, rows)


def document(language: str, title: str, blocks: Iterable[str]) -> bytes:
    """A whole page of these blocks, which are HTML already."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = "".join(blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head>{head}</head><body>{body}</body></html>\n'.encode()
    )


def heading(title: str) -> str:
    """What the page is."""
    return f"<h1>{escape(title)}</h1>"


def paragraph(lines: Sequence[str]) -> str:
    """Lines below each other."""
    return f"<p>{'<br>'.join(map(escape, lines))}</p>"


def pairs(named: Sequence[tuple[str, str]]) -> str:
    """Names and values."""
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in named)
        + "</dl>"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with a head."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
