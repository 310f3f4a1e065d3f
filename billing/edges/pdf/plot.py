"""Plots of a month's calls as SVG: amount by destination and by day. Integers only, no script.

Lengths are in hundredths of a unit of the drawing, so that integers are fine enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#2f5d8c", "#e0a458", "#4f9d8f", "#b5566a", "#8a79b8", "#8cb4d9", "#7f8c8d")
INK, FAINT, RULE = "#1c2733", "#6b7785", "#dfe4ea"
FONT = 'font-family="Inter, DejaVu Sans, sans-serif"'
WIDTH = 36_000
BAR, STEP, LABEL, VALUE = 800, 2_000, 11_500, 6_500
HEIGHT = 12_000
PER_ROW = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """One destination: its name, its amount as printed, its amount in any whole unit, its colour."""

    name: str
    printed: str
    amount: int
    colour: str


def colours(classes: Sequence[str]) -> dict[str, str]:
    """A colour for each class, the same in all plots of an invoice."""
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(classes)}


def by_class(bars: Sequence[Bar]) -> str:
    """Horizontal bars, the largest first; names at the left, amounts at the right. "" for nothing."""
    if not bars:
        return ""
    room = WIDTH - LABEL - VALUE
    top = max(1, *(bar.amount for bar in bars)) if len(bars) > 1 else max(1, bars[0].amount)
    drawn = []
    for place, bar in enumerate(sorted(bars, key=lambda bar: -bar.amount)):
        y = place * STEP + 600
        length = max(0, bar.amount) * room // top
        drawn.append(text(0, y + 750, bar.name, INK, "start"))
        drawn.append(rect(LABEL, y, max(length, 60), BAR, bar.colour))
        drawn.append(text(WIDTH, y + 750, bar.printed, INK, "end"))
    return svg(WIDTH, len(bars) * STEP, drawn)


def by_day(
    days: Mapping[int, Mapping[str, int]],
    last: int,
    shades: Mapping[str, str],
    peak: str,
    names: Sequence[str] = (),
) -> str:
    """Columns of the days 1 to `last`, stacked by class; `peak` is the largest sum as printed.

    `names` of the classes, in the order of `shades`, make a legend where nothing else says the colours.
    """
    top = max((sum(parts.values()) for parts in days.values()), default=0)
    if top <= 0:
        return ""
    floor, room = HEIGHT - 1_800, HEIGHT - 3_600
    pitch = WIDTH // last
    drawn = [
        line(0, floor, WIDTH),
        line(0, floor - room, WIDTH),
        text(0, floor - room - 500, peak, FAINT, "start"),
    ]
    for day in range(1, last + 1):
        x, y = (day - 1) * pitch, floor
        for name, colour in shades.items():
            height = days.get(day, {}).get(name, 0) * room // top
            if height > 0:
                y -= height
                drawn.append(rect(x + pitch // 8, y, pitch * 3 // 4, height, colour))
        if day == 1 or day % 5 == 0:
            drawn.append(text(x + pitch // 2, HEIGHT - 400, str(day), FAINT, "middle"))
    rows = -(-len(names) // PER_ROW)
    return svg(WIDTH, HEIGHT + rows * STEP, [*drawn, *legend(names, list(shades.values()))])


def legend(names: Sequence[str], shades: Sequence[str]) -> list[str]:
    """Squares with their names, below the days."""
    drawn = []
    for place, (name, colour) in enumerate(zip(names, shades, strict=False)):
        x, y = place % PER_ROW * (WIDTH // PER_ROW), HEIGHT + place // PER_ROW * STEP + 600
        drawn += [rect(x, y, BAR, BAR, colour), text(x + 1_200, y + 750, name, INK, "start")]
    return drawn


def svg(width: int, height: int, drawn: Sequence[str]) -> str:
    """The drawing; its size is its container's."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {units(width)} {units(height)}" '
        f'width="100%" {FONT} font-size="9">{"".join(drawn)}</svg>'
    )


def rect(x: int, y: int, width: int, height: int, colour: str) -> str:
    """A filled rectangle."""
    size = f'width="{units(width)}" height="{units(height)}"'
    return f'<rect x="{units(x)}" y="{units(y)}" {size} fill="{colour}"/>'


def line(x: int, y: int, width: int) -> str:
    """A thin horizontal line."""
    return (
        f'<line x1="{units(x)}" y1="{units(y)}" x2="{units(x + width)}" y2="{units(y)}" '
        f'stroke="{RULE}" stroke-width="0.6"/>'
    )


def text(x: int, y: int, said: str, colour: str, anchor: str) -> str:
    """A word at its base line."""
    return f'<text x="{units(x)}" y="{units(y)}" fill="{colour}" text-anchor="{anchor}">{escape(said)}</text>'


def units(hundredths: int) -> str:
    """12.5 of 1250."""
    return f"{hundredths // 100}.{hundredths % 100:02}"
