"""Amounts in four languages as CLDR has them, without its rounding."""

from decimal import Decimal

import pytest
from babel.numbers import format_currency, format_decimal, format_percent
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.edges.pdf.catalogue import LANGUAGES
from billing.edges.pdf.figures import FIGURES, clock, decimal, micro

LOCALES = {"fr": "fr_FR", "it": "it_IT", "de": "de_DE", "en": "en_IE"}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(max_examples=200, derandomize=True, database=None)
@given(cents=st.integers(-(10**12), 10**12))
def test_punctuation_is_that_of_cldr(language: str, cents: int) -> None:
    locale = LOCALES[language]
    assert FIGURES[language].amount(cents) == format_currency(Decimal(cents) / 100, "EUR", locale=locale)
    assert FIGURES[language].count(abs(cents)) == format_decimal(abs(cents), locale=locale)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rate", [0, 550, 1000, 2000, 2200])
def test_rates_are_written_as_in_cldr(language: str, rate: int) -> None:
    printed = format_percent(Decimal(rate) / 10000, "#,##0.##%", locale=LOCALES[language])
    assert FIGURES[language].rate(rate).replace("\u202f", "").replace("\u00a0", "") == printed


def test_b_j9_and_b_j10_a_rounded_amount_is_printed_as_it_is() -> None:
    """1234.565 is 123457 cents after B.r1; Babel alone would print 1 234,56."""
    assert format_currency(Decimal("1234.565"), "EUR", locale="fr_FR") == "1\u202f234,56\u00a0€"
    assert FIGURES["fr"].amount(123457) == "1\u202f234,57\u00a0€"
    assert decimal(123457) == "1234.57"
    assert (decimal(-5), decimal(0), decimal(-123456)) == ("-0.05", "0.00", "-1234.56")


def test_prices_of_calls_and_times() -> None:
    assert (micro(31250), micro(-1), micro(1_000_000)) == ("0.031250", "-0.000001", "1.000000")
    assert (clock(0), clock(59), clock(864), clock(8064)) == ("0:00", "0:59", "14:24", "2:14:24")
