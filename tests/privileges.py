"""Commands of somebody who may do less than whoever runs the tests."""

import os
import shutil


def without_privileges() -> list[str]:
    """Before a command: root obeys file modes too."""
    if os.getuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    assert setpriv is not None, "Debian package util-linux"
    return [setpriv, "--inh-caps=-dac_override", "--bounding-set=-dac_override,-dac_read_search"]
