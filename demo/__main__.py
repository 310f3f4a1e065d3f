"""`make demo`: real SIP on loopback, a licence master, two sites, and a story in seven steps."""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from demo.story import LICENCES, Story
from demo.world import DemoError, World


async def play(folder: Path, once: bool, console: Console) -> bool:
    """Build the world, tell the story, and unless `once` keep it running until Ctrl-C."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    world = World(folder)
    try:
        telling = asyncio.ensure_future(build_and_tell(world, console))
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait({telling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not telling.done():
            telling.cancel()
            await asyncio.wait({telling})
            console.print("stopped")
            return not once
        held = telling.result()
        if not once:
            show_around(world, console)
            await stop.wait()
        return held
    finally:
        await world.close()


async def build_and_tell(world: World, console: Console) -> bool:
    """Start every program as a user does, then play the story."""
    world.write(LICENCES)
    with console.status("starting the licence master and two sites ..."):
        await world.command(
            "licence-master", "init", "--installation", "demo", "--config", str(world.master_yaml)
        )
        await world.start_master()
        await world.master("install", str(world.folder / "licences.yaml"))
        kinds = [await world.start_site(site) for site in world.sites.values()]
    console.print(f"PBX at each site: {kinds[0]}; phones: Python (baresip wants more than loopback)")
    console.print(f"API: https://127.0.0.1:{world.admin_port}/api/v1 (OpenAPI at /openapi.json)")
    return await Story(world, console).tell()


def show_around(world: World, console: Console) -> None:
    """Say what one can look at while it runs."""
    console.print("\nStill running. In another terminal, from this folder:", highlight=False)
    for words in ("pools", "shares", "holders", "denials", "history"):
        console.print(f"  .venv/bin/licence-master {words} --config {world.master_yaml}", highlight=False)
    console.print(
        f"  .venv/bin/pbx-agent status --config {world.agent_yaml('hq')}\nCtrl-C ends it.", highlight=False
    )


def main() -> int:
    """Exit code 0 when every step held."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play the story once and end")
    once = parser.parse_args().once
    console = Console(soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="pbx-demo-"))
    held = False
    try:
        held = asyncio.run(play(folder, once, console))
    except DemoError as error:
        console.print(f"[red]the demonstration could not start:[/red] {error}", highlight=False)
    if held:
        shutil.rmtree(folder)
    else:
        console.print(f"logs and stores are kept in {folder}", highlight=False)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
