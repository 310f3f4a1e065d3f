"""`make test` runs these tests twice: interpreted, and as `pip install` compiles them."""

import sys
from pathlib import Path

import telephony.guard
from tests.acceptance.peers.installed import COMPILED


def test_what_is_tested_is_what_this_environment_holds() -> None:
    ends = telephony.guard.__file__.endswith
    if Path(sys.prefix) == COMPILED:
        assert ends(".so"), "the wheel was built without a C compiler and Python's headers: install them"
    else:
        assert ends(".py")
