"""The licence catalogue that comes with the program."""

from functools import cache
from importlib import resources

import yaml

from licensing.catalogue import Catalogue


@cache
def read_catalogue() -> Catalogue:
    """Read and validate the rows; CatalogueError names all that is wrong with them."""
    text = resources.files("licensing").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # at each start; in C it takes a tenth of the time
    return Catalogue.from_rows(yaml.load(text, loader))  # noqa: S506 - either is safe
