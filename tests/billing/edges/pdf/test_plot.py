"""Plots: what is drawn is what was used, in integers, and nothing is drawn of nothing."""

import re
from dataclasses import replace
from xml.etree import ElementTree

from billing.core.invoice import Invoice, Sort
from billing.edges.pdf.catalogue import catalogue
from billing.edges.pdf.plot import COLOURS, Bar, by_class, by_day, colours
from billing.edges.pdf.usage import classes_plot, days_plot
from tests.billing.documents import PERIOD, calls, issued, line


def rects(drawing: str) -> list[dict[str, str]]:
    return [each.attrib for each in ElementTree.fromstring(drawing).iter() if each.tag.endswith("rect")]


def test_bars_are_as_long_as_the_amounts_say() -> None:
    drawn = rects(
        by_class([Bar("a", "1", 100, "#000"), Bar("b", "4", 400, "#111"), Bar("c", "0", 0, "#222")])
    )
    widths = {each["fill"]: each["width"] for each in drawn}
    assert widths == {"#111": "180.00", "#000": "45.00", "#222": "0.60"}
    assert [each["fill"] for each in drawn] == ["#111", "#000", "#222"]


def test_one_bar_and_no_bar() -> None:
    assert [each["width"] for each in rects(by_class([Bar("a", "0,00", 0, "#000")]))] == ["0.60"]
    assert by_class([]) == ""
    assert by_day({}, 31, {}, "0:00") == ""


def test_a_day_is_the_stack_of_its_classes() -> None:
    drawn = rects(by_day({3: {"a": 60, "b": 30}, 31: {"a": 45}}, 31, {"a": "#000", "b": "#111"}, "1:30"))
    assert [(each["fill"], each["height"], each["y"]) for each in drawn] == [
        ("#000", "56.00", "46.00"),
        ("#111", "28.00", "18.00"),
        ("#000", "42.00", "60.00"),
    ]


def test_a_late_call_is_not_a_day_of_this_month() -> None:
    late = [replace(call, period=202609) for call in calls()]
    assert days_plot(PERIOD, late, []) == ""


def test_the_legend_names_every_colour() -> None:
    drawing = days_plot(PERIOD, calls(), ["SPECIAL"], catalogue("fr"))
    names = re.findall(r">([^<]+)</text>", drawing)
    assert names[-3:] == ["Numéros spéciaux", "France fixe", "France mobile"]
    assert [each["fill"] for each in rects(drawing)[-3:]] == list(COLOURS[:3])


def test_a_plot_calls_a_class_as_the_line_beside_it_does() -> None:
    """By the tariff's label, while its rows agree on one."""
    words = catalogue("it")
    labelled = line(Sort.CALLS, "FR_MOBILE", 33, label="Paesi vicini")
    invoice = Invoice("", PERIOD, (labelled,), 2000)
    assert ">Paesi vicini</text>" in classes_plot(issued(invoice), words)
    one, *others = (replace(call, class_="X", label="Uno") for call in calls()[:3])
    assert ">Uno</text>" in days_plot(PERIOD, [one, *others], [], words)
    assert ">X</text>" in days_plot(PERIOD, [one, replace(one, label="Due"), *others], [], words)


def test_a_class_keeps_its_colour_and_an_eighth_begins_again() -> None:
    shades = colours([f"C{place}" for place in range(8)])
    assert shades["C7"] == shades["C0"] == COLOURS[0]


def test_a_name_is_text() -> None:
    assert "<script>" not in by_class([Bar("<script>", "&", 1, "#000")])
