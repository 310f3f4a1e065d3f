"""Commands that die of SIGKILL behind their n-th durable step, each in a fork of a process that has imported.

A durable step is what survives a power cut: a commit of the store, an fsync, a rename. Run as a program it
reads a JSON list a line, [n, words…], and answers how the command ended; n = 0: nothing happens to it.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from billing.cli import app
from runtime.store import Database


def die_behind(step: int) -> None:
    """Kill this process behind its step of this number."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any, **named: Any) -> Any:
            answer = function(*given, **named)
            count()
            return answer

        return wrapped

    write = Database.write

    async def written(self: Database, *given: Any, **named: Any) -> None:
        await write(self, *given, **named)
        count()

    os.fsync, os.rename = counted(os.fsync), counted(os.rename)
    Database.write = written  # type: ignore[method-assign]


def run(step: int, words: list[str]) -> int:
    """The exit code of the command, or minus the signal that ended it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    die_behind(step)
    code = 70
    try:
        app(words)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    finally:
        os._exit(code)


def main() -> None:
    """Answer until stdin ends."""
    import billing.cli.closing
    import billing.cli.importing  # noqa: F401 - what each fork would import anew

    for line in sys.stdin:
        step, *words = json.loads(line)
        print(run(step, words), flush=True)


if __name__ == "__main__":
    main()
