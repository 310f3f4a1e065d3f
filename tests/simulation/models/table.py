"""The table of docs/reliability.md: what each model has explored, and how soon it breaks without a rule."""

import re
import time
from pathlib import Path

from tests.simulation.explorer import explore
from tests.simulation.models.pairs import PAIRS
from tests.simulation.models.rules import ALL_RULES, Rule
from tests.simulation.models.scenario import Scenario
from tests.simulation.models.system import Model

PAGE = Path(__file__).parents[3] / "docs" / "reliability.md"
HEAD = "| pair | states | CPU s | without the rule: steps to the break |\n|---|---|---|---|"


def spoken(rule: Rule) -> str:
    """A rule as the table names it."""
    return rule.name.lower().replace("_", " ")


def row(pair: Scenario) -> str:
    """One row, explored now."""
    began = time.process_time()
    whole = explore(Model(pair))
    seconds = time.process_time() - began
    assert whole.broken is None, str(whole)
    steps = [f"{spoken(rule)} {len(explore(Model(pair, ALL_RULES - {rule})).trail)}" for rule in pair.rules]
    steps += [f"{spoken(rule)}: covered" for rule in pair.covered]
    return f"| {pair.name} | {whole.states:,} | {seconds:.1f} | {', '.join(steps)} |"


def documented() -> dict[tuple[str, str], int]:
    """Steps by pair and rule as the page has them; 0 where it says that another rule covers this one."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and " × " in cells[0]:
            for part in cells[3].split(", "):
                rule, steps = re.fullmatch(r"(.+?)(?: (\d+)|: covered)", part, re.ASCII).groups()  # type: ignore[union-attr]
                found[cells[0], rule] = int(steps or 0)
    return found


def main() -> None:
    """Print the table, a row as soon as it is known."""
    print(HEAD)
    for pair in PAIRS:
        print(row(pair), flush=True)


if __name__ == "__main__":
    main()
