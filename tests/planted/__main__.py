"""`python -m tests.planted [WORD…]`: plant each bug of that name, show what catches it."""

import sys

from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.planted.bugs import BUGS
from tests.planted.tree import hunt


def main(words: list[str]) -> int:
    """Return 1 when a bug lives on."""
    chosen = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    table = Table("bug", "what it undoes", "harness", "caught by", "seconds", box=None)
    survived: list[str] = []
    for bug in track(chosen, "planting", console=Console(stderr=True)):
        found = hunt(bug)
        table.add_row(
            bug.name, bug.lesson, bug.harness, bug.test if found.caught else "NOBODY", f"{found.seconds:.1f}"
        )
        if not found.caught:
            survived.append(f"{bug.name}\n{found.output[-3_000:]}")
    Console(width=None if sys.stdout.isatty() else 200).print(table)
    for text in survived:
        print("not caught:", text)
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
