"""`make fuzz`: new inputs for the guard, found by atheris (libFuzzer); ARGS are options of libFuzzer.

What is found goes to .cache/fuzz, the corpus beside this file is only read. `ARGS=keep` replaces that corpus
by the fewest inputs of both that reach as much.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
CACHE = Path(".cache")
FOUND, KEPT = CACHE / "fuzz", CACHE / "kept"
SECONDS = 300
LENGTH = 2_048
AS_GIVEN = "--as-given"  # how libFuzzer starts itself again while it merges

with atheris.instrument_imports(include=["telephony"]):
    from tests.fuzz.script import play


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over, or keep what was found."""
    FOUND.mkdir(parents=True, exist_ok=True)
    if arguments == ["keep"]:
        keep()
    elif arguments[:1] == [AS_GIVEN]:
        fuzz(arguments[1:])
    else:
        limits = [f"-max_total_time={SECONDS}", f"-max_len={LENGTH}", f"-dict={HERE / 'sip.dict'}"]
        fuzz([*limits, f"-artifact_prefix={CACHE}/", *arguments, str(FOUND), str(CORPUS)])


def fuzz(options: list[str]) -> None:
    """Never returns: libFuzzer ends the process."""
    atheris.Setup([str(launcher()), *options], play)
    atheris.Fuzz()


def launcher() -> Path:
    """A program that starts this one again, as libFuzzer does for each part of a merge."""
    path = (CACHE / "fuzz-again").absolute()
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.fuzz {AS_GIVEN} "$@"\n')
    path.chmod(0o755)
    return path


def keep() -> None:
    """Merge in a process of its own, then take the result for the corpus."""
    shutil.rmtree(KEPT, ignore_errors=True)
    KEPT.mkdir()
    folders = [str(KEPT), str(CORPUS), str(FOUND)]
    command = [sys.executable, "-m", "tests.fuzz", AS_GIVEN, "-set_cover_merge=1", *folders]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    shutil.rmtree(CORPUS, ignore_errors=True)
    shutil.copytree(KEPT, CORPUS)
    print(f"{len(list(CORPUS.iterdir()))} inputs kept in {CORPUS}")


main(sys.argv[1:])
