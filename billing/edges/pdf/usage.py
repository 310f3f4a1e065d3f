"""What was used, as plots: amount by class from the lines, billed time by day from the call detail."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from billing.core.calendar import month
from billing.core.detail import Detail
from billing.core.document import Document
from billing.core.invoice import Sort
from billing.edges.pdf.catalogue import Catalogue, catalogue
from billing.edges.pdf.figures import FIGURES, clock
from billing.edges.pdf.plot import Bar, by_class, by_day, colours

Plots = tuple[tuple[str, str], ...]
"""Caption and SVG."""


def plots(document: Document, details: Sequence[Detail]) -> Plots:
    """The plots of an invoice, those that have something to show; a credit note has none."""
    if document.corrects:
        return ()
    words = catalogue(document.language)
    drawn = (
        (words.say("by_class"), classes_plot(document, words)),
        (words.say("by_day"), days_plot(document.invoice.period, details, classes_of(document))),
    )
    return tuple((caption, plot) for caption, plot in drawn if plot)


def classes_of(document: Document) -> list[str]:
    """The classes of an invoice, dearest first: their order in all plots."""
    amounts = amounts_of(document)
    return sorted(amounts, key=lambda name: (-amounts[name], name))


def amounts_of(document: Document) -> Mapping[str, int]:
    """Cents of each class that was called."""
    amounts: dict[str, int] = defaultdict(int)
    for line in document.invoice.lines:
        if line.sort is Sort.CALLS:
            amounts[line.item] += line.net_cents
    return amounts


def classes_plot(document: Document, words: Catalogue) -> str:
    """Amount by class."""
    figures, amounts = FIGURES[document.language], amounts_of(document)
    calls = (line for line in document.invoice.lines if line.sort is Sort.CALLS)
    names = labels((line.item, line.label) for line in calls)
    bars = [
        Bar(words.item(name, names[name]), figures.amount(amounts[name]), amounts[name], shade)
        for name, shade in colours(classes_of(document)).items()
    ]
    return by_class(bars)


def labels(called: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """The label of each class of these (class, label); "" where rows of one class have several."""
    found: dict[str, str] = {}
    for name, label in called:
        found[name] = label if found.get(name, label) == label else ""
    return found


def days_plot(
    period: int, details: Iterable[Detail], classes: Sequence[str], words: Catalogue | None = None
) -> str:
    """Billed time by day of the period, stacked by class; with `words` it names its colours."""
    days: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    shown = [detail for detail in details if detail.period == period]
    for detail in shown:
        days[detail.day][detail.class_] += detail.billed_seconds
    called = labels((detail.class_, detail.label) for detail in shown)
    shades = colours([*classes, *sorted(called.keys() - set(classes))])
    names = [words.item(name, called.get(name, "")) for name in shades] if words else []
    peak = max((sum(parts.values()) for parts in days.values()), default=0)
    return by_day(days, month(period)[1].day, shades, clock(peak), names)
