"""`make fuzz`: new inputs for the guard, found by atheris (libFuzzer); ARGS are options of libFuzzer.

The first folder gets what is found; the corpus beside this file is read. `ARGS=keep` replaces that corpus by
the smallest set of both that reaches the same lines and branches.
"""

import shutil
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = Path(".cache/fuzz")
SECONDS = 300
LENGTH = 2_048

with atheris.instrument_imports(include=["telephony"]):
    from tests.fuzz.script import play


def main(arguments: list[str]) -> None:
    """Fuzz, or keep what was found; never returns (libFuzzer ends the process)."""
    FOUND.mkdir(parents=True, exist_ok=True)
    if arguments[:1] == ["keep"]:
        arguments = ["-merge=1", *arguments[1:], str(_emptied(Path(".cache/kept"))), str(CORPUS), str(FOUND)]
    else:
        options = [f"-max_total_time={SECONDS}", f"-max_len={LENGTH}", f"-dict={HERE / 'sip.dict'}"]
        arguments = [*options, f"-artifact_prefix={FOUND.parent}/", *arguments, str(FOUND), str(CORPUS)]
    atheris.Setup([sys.argv[0], *arguments], play)
    atheris.Fuzz()


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


main(sys.argv[1:])
