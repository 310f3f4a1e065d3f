"""Each language says everything."""

from importlib import resources
from string import Formatter

import pytest
import yaml

from billing.edges.pdf.catalogue import LANGUAGES, catalogue


def rows() -> dict[str, dict[str, str]]:
    text = resources.files("billing.edges.pdf").joinpath("texts.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, dict[str, str]]] = yaml.load(text, Loader=yaml.CSafeLoader)
    return {f"{part}.{key}": row for part, words in loaded.items() for key, row in words.items()}


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("key", list(rows()))
def test_every_word_in_every_language(key: str) -> None:
    row = rows()[key]
    assert tuple(row) == LANGUAGES
    assert all(text.strip() for text in row.values())
    assert len({frozenset(names(text)) for text in row.values()}) == 1, "the same {names} in each language"


def test_classes_of_the_seed_are_named() -> None:
    """Seed 000: the seven destinations on the invoice."""
    seven = ("FR_FIXE", "FR_MOBILE", "INT_FIXE", "INT_MOBILE", "SPECIAL", "FAX_FR", "SMS_FR")
    assert [catalogue("fr").item(each) for each in seven] == [
        "France fixe",
        "France mobile",
        "International fixe",
        "International mobile",
        "Numéros spéciaux",
        "Fax France",
        "SMS France",
    ]


def test_a_label_goes_before_our_word_and_the_own_name_comes_last() -> None:
    assert catalogue("en").item("FR_FIXE", "Paris area") == "Paris area"
    assert catalogue("en").item("FR_FIXE", " ") == "France landline"
    assert catalogue("en").item("flat100") == "flat100"


def test_an_item_is_never_a_word_of_the_page() -> None:
    """The fee of an account is an item `account`; the page has a word of that name with a {name} in it."""
    assert catalogue("en").item("account") == "Phone account"
    assert catalogue("en").say("account", name="201") == "Account 201"
    named = [row for key, row in rows().items() if key.startswith("items.") and any(map(names, row.values()))]
    assert named == []


def test_an_unknown_language_is_named() -> None:
    with pytest.raises(ValueError, match="found es, right would be one of fr, it, de, en"):
        catalogue("es")
