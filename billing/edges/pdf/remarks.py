"""What page and XML say alike: the remark of a line, the days of a period, the notes of the law."""

from collections.abc import Callable
from datetime import date

from billing.core.calendar import month
from billing.core.invoice import Line, Sort
from billing.edges.pdf.catalogue import Catalogue
from billing.edges.pdf.figures import clock

NOTES = ("PMT", "PMD", "AAB")
"""Subject codes of what an invoice from France must say: recovery costs, late payment, discount."""


def remark(line: Line, words: Catalogue, day: Callable[[date], str] = date.isoformat) -> str:
    """Calls and billed time, or the days on which an option was on; "" for the whole month."""
    if line.sort is not Sort.CALLS:
        spans = [(date.fromisoformat(first), date.fromisoformat(last)) for first, last in line.days]
        parts = [(first, last) for first, last in spans if (first, last) != month(line.origin)]
        return ", ".join(words.say("days", first=day(first), last=day(last)) for first, last in parts)
    if line.item.startswith("SMS"):
        return words.say("one_sms") if line.calls == 1 else words.say("sms", count=line.calls)
    count = words.say("one_call") if line.calls == 1 else words.say("calls", count=line.calls)
    return f"{count}, {words.say('duration', time=clock(line.seconds))}"
