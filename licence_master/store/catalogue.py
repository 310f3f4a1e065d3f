"""The licence catalogue that comes with the program."""

from importlib import resources

import yaml

from licensing.catalogue import Catalogue


def read_catalogue() -> Catalogue:
    """Read and validate the rows; CatalogueError names all that is wrong with them."""
    text = resources.files("licensing").joinpath("catalogue.yaml").read_text(encoding="utf-8")
    return Catalogue.from_rows(yaml.safe_load(text))
