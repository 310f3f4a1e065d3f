"""The words of invoices and statements in four languages: rows of texts.yaml."""

from dataclasses import dataclass
from importlib import resources

import yaml

LANGUAGES = ("fr", "it", "de", "en")


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The words of one language."""

    language: str
    words: dict[str, str]
    items: dict[str, str]
    """Of classes, fees and options, which may be called as words of the page are."""

    def say(self, key: str, **names: str | int) -> str:
        """The text `key` with its {names} filled in; KeyError for a key that texts.yaml has not."""
        return self.words[key].format(**names)

    def item(self, item: str, label: str = "") -> str:
        """What a class, an option or an offer is called: its label, else our word, else its own name."""
        return label.strip() or self.items.get(item) or item


def catalogue(language: str) -> Catalogue:
    """The words of fr, it, de or en; ValueError for any other language."""
    if language not in LANGUAGES:
        raise ValueError(f"language: found {language}, right would be one of {', '.join(LANGUAGES)}")
    text = resources.files("billing.edges.pdf").joinpath("texts.yaml").read_text(encoding="utf-8")
    rows: dict[str, dict[str, dict[str, str]]] = yaml.load(text, Loader=yaml.CSafeLoader)
    words, items = ({key: row[language] for key, row in rows[part].items()} for part in ("page", "items"))
    return Catalogue(language, words, items)
