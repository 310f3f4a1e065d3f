"""Our own programs as they are installed: of the wheel as it ships, when `make` built one."""

import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
COMPILED = ROOT / ".cache" / "compiled"  # what `make compiled` built of the sources


def own_command(name: str) -> str:
    """Return the path of one of our console scripts (`pbx-agent`, `licence-master`)."""
    return str(Path(own_python()).with_name(name))


def own_python() -> str:
    """Return the interpreter of the wheel when it was built, else that of this process."""
    return str(COMPILED / "bin" / "python") if compiled_is_there() else sys.executable


@cache
def compiled_is_there() -> bool:
    """Whether a wheel is installed in COMPILED; AssertionError when it is not of these sources."""
    if not (COMPILED / ".made").exists():
        return False
    (place,) = COMPILED.glob("lib/python*/site-packages")
    for package in ("agent", "licence_file", "licence_master", "licensing", "runtime", "telephony"):
        for source in (ROOT / package).rglob("*.py"):
            built = place / source.relative_to(ROOT)
            same = built.exists() and built.read_bytes() == source.read_bytes()
            assert same, f"{source.relative_to(ROOT)} changed after the wheel was built: make compiled"
    return True
