"""Compiles the modules that every SIP message passes, where mypyc and a C compiler are at hand.

All else is in pyproject.toml. The same modules run interpreted where they could not be compiled, and always
in an editable installation: what is edited must be what runs.
"""

import sys
from pathlib import Path

from setuptools import Extension, setup

# Protocols are only asked, never run.
INTERPRETED = {"telephony/verdict.py"}
# A call record comes once for each call, not with each message.
RARE = "telephony/cdr"


def compiled() -> list[Extension]:
    """The extensions; that there is no C compiler is no error, it is only slower."""
    from mypyc.build import mypycify  # only there while a wheel is built

    sources = sorted(Path("telephony").rglob("*.py"))
    hot = [str(p) for p in sources if p.name != "__init__.py" and not p.is_relative_to(RARE)]
    made: list[Extension] = mypycify(
        ["--config-file=", *(path for path in hot if path not in INTERPRETED)],
        group_name="telephony",
        opt_level="3",
        debug_level="0",
    )
    for extension in made:
        extension.optional = True
    return made


setup(ext_modules=compiled() if "bdist_wheel" in sys.argv else [])
