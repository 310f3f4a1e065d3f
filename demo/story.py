"""The story that the demonstration tells, step by step; each step holds or names what did not."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from demo.phone import Outcome
from demo.world import DemoError, World

LICENCES = """\
licences:
  - {type: PBX-Port13, count: 3}
  - {type: PBX-IPVA13, count: 2}
"""
SETTLED_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it shows, and the coroutine that plays it and returns a sentence."""

    title: str
    play: Callable[[], Awaitable[str]]


class Story:
    """Fill, share, refuse with why, release, call, kill the master, bring it back."""

    def __init__(self, world: World, console: Console) -> None:
        self.world = world
        self.console = console

    def steps(self) -> list[Step]:
        """The steps in order."""
        return [
            Step("two phones register at hq: each draws a Port licence", self.fill),
            Step("a phone registers at lyon (virtual): Port and IPVA together", self.share),
            Step("all three Ports are in use: the next phone is refused, and told why", self.refuse),
            Step("a phone at hq leaves: its Port moves to the phone waiting at lyon", self.release),
            Step("the two phones at lyon call each other through the guard", self.call),
            Step("the master is killed: phones go on, and nobody gets what was not lent", self.kill),
            Step("the master is back: the books agree, and it says no by itself again", self.reconcile),
        ]

    async def tell(self) -> bool:
        """Play all steps; True when each one held."""
        held = 0
        steps = self.steps()
        for number, step in enumerate(steps, start=1):
            self.console.print(f"\n[bold]{number}. {step.title}[/bold]")
            try:
                said = await step.play()
            except DemoError as error:
                self.console.print(f"   [red]did not hold:[/red] {error}", highlight=False)
                break
            held += 1
            self.console.print(f"   [green]held:[/green] {said}", highlight=False)
        self.console.print(f"\n{held} of {len(steps)} steps held")
        return held == len(steps)

    # --- the steps

    async def fill(self) -> str:
        for user in ("201", "202"):
            _expect(await self.world.register("hq", user), 200)
        await self._show_pools(lambda pools: pools["port"]["used"] == 2)
        return "both answered 200 OK"

    async def share(self) -> str:
        began = time.monotonic()
        _expect(await self.world.register("lyon", "301"), 200)
        took = time.monotonic() - began
        await self._show_pools(lambda pools: pools["port"]["used"] == 3 and pools["ipva"]["used"] == 1)
        return f"200 OK after {took * 1000:.0f} ms; hq had the third Port as a spare and gave it back"

    async def refuse(self) -> str:
        outcome = await self.world.register("lyon", "302")
        _expect(outcome, 403)
        return f"403 {outcome.reason} - Warning: {outcome.warning}"

    async def release(self) -> str:
        leaving = await self.world.phone(self.world.sites["hq"], "201")
        _expect(await leaving.unregister(), 200)
        await self._settled(lambda pools: pools["port"]["used"] == 2)
        began = time.monotonic()
        _expect(await self.world.register("lyon", "302"), 200)
        took = time.monotonic() - began
        await self._show_pools(lambda pools: pools["port"]["used"] == 3 and pools["ipva"]["used"] == 2)
        return f"200 OK at lyon {took * 1000:.0f} ms after it asked"

    async def call(self) -> str:
        caller = await self.world.phone(self.world.sites["lyon"], "301")
        _expect(await caller.dial("302"), 200)
        _expect(await caller.hang_up(), 200)
        return "301 called 302, was answered, and hung up"

    async def kill(self) -> str:
        await self.world.kill("licence-master")
        for site, user in (("hq", "202"), ("lyon", "301"), ("lyon", "302")):
            _expect(await self.world.register(site, user), 200)
        outcome = await self.world.register("hq", "203")
        if outcome.status == 200:
            raise DemoError("a fourth phone got in while three Ports exist")
        return f"three refreshes answered 200; a fourth phone: {outcome.status} - Warning: {outcome.warning}"

    async def reconcile(self) -> str:
        await self.world.start_master()
        outcome = await self._until_refused_by_master("hq", "203")
        await self._show_pools(lambda pools: pools["port"]["used"] == 3 and pools["port"]["free"] == 0)
        leaving = await self.world.phone(self.world.sites["lyon"], "302")
        _expect(await leaving.unregister(), 200)
        await self._settled(lambda pools: pools["port"]["used"] == 2)  # the master has heard of it
        _expect(await self.world.register("hq", "203"), 200)
        return f"first refused ({outcome.warning}); after 302 left, 203 answered 200"

    # --- looking

    async def _until_refused_by_master(self, site: str, user: str) -> Outcome:
        """The refusal of a master that is back; until the agent has noticed, it says master_away."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        while True:
            outcome = await self.world.register(site, user)
            if "no_free_licence" in outcome.warning:
                return outcome
            if outcome.status == 200 or time.monotonic() > deadline:
                raise DemoError(f"expected a refusal by the master, got {outcome.status} {outcome.warning}")

    async def _show_pools(self, settled: Callable[[Any], bool]) -> None:
        """Show the pools once they are as expected."""
        self._print_pools(await self._settled(settled))

    async def _settled(self, settled: Callable[[Any], bool]) -> Any:
        """The pools once they are as expected; the master learns of use with the next sync."""
        deadline = time.monotonic() + SETTLED_WITHIN_S
        pools = await self.world.master("pools")
        while not settled(by_name(pools)):
            if time.monotonic() > deadline:
                self._print_pools(pools)
                raise DemoError("the pools at the master do not show it")
            pools = await self.world.master("pools")
        return pools

    def _print_pools(self, pools: Any) -> None:
        table = Table(box=None, pad_edge=False)
        table.add_column("   pool")
        for column in ("installed", "usable", "used", "free"):
            table.add_column(column, justify="right")
        for name, pool in by_name(pools).items():
            numbers = [str(pool[column]) for column in ("installed", "usable", "used", "free")]
            table.add_row(f"   {name}", *numbers)
        self.console.print(table)


def by_name(pools: Any) -> dict[str, Any]:
    """The answer of `pools --json` as a mapping from the pool's name."""
    return {row["pool"]: row for row in pools}


def _expect(outcome: Outcome, status: int) -> None:
    if outcome.status != status:
        said = f"{outcome.status} {outcome.reason} {outcome.warning}".strip()
        raise DemoError(f"expected {status}, got {said}")
