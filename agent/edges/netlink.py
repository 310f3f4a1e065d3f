"""What the kernel tells of links, neighbours and routes (rtnetlink), read anew after changes that matter.

Nothing is added up from events, of which the kernel may drop some: an event only says that it is time to
look. uvloop knows no netlink sockets, so that pyroute2 has a plain event loop in a thread of its own.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE, RTMGRP_LINK, RTMGRP_NEIGH

from agent.edges.machine import machine, text_of
from licensing.box.link import Link, Neighbour, Way
from licensing.box.proof import Sight
from licensing.installation import normal_mac
from runtime.daemon import sweep
from runtime.logs import logger

EVENTS = RTMGRP_LINK | RTMGRP_NEIGH | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE
CALM_S = 0.05  # what changes together is looked at once
LOOK_S = 30.0  # a neighbour that is never spoken to is forgotten: it is knocked at so often
ANSWER_S = 0.3  # a neighbour answers in milliseconds
DISCARD = 9
HERE = 2  # RTN_LOCAL (linux/rtnetlink.h)
UNICAST = 1
SET_BY_HAND = "3"  # addr_assign_type

log = logger()


async def look(addresses: Collection[str], root: Path = Path("/")) -> Sight:
    """Everything at this moment, and the ways to these addresses; OSError, NetlinkError."""
    async with AsyncIPRoute() as kernel:
        links = tuple([_link(found, root) async for found in await kernel.get_links()])
        neighbours = tuple([_neighbour(found) async for found in await kernel.neigh("dump")])
        ways = tuple([await _way(kernel, address) for address in addresses])
    return Sight(links, neighbours, ways, machine(root))


async def look_around(addresses: Collection[str], root: Path = Path("/")) -> Sight:
    """As `look`, once every neighbour had the time to say that it is there."""
    sight = await look(addresses, root)
    silent = [way.address for way in sight.ways if way.kind == "neighbour" and not sight.answers(way)]
    if not silent:
        return sight
    for address in silent:
        _knock(address)
    await asyncio.sleep(ANSWER_S)
    return await look(addresses, root)


class Watch:
    """Looks whenever something changed, and every half minute."""

    def __init__(self, addresses: Collection[str], root: Path = Path("/")) -> None:
        self._addresses = sorted({*addresses})
        self._macs: set[str] = set()
        self._root = root
        self._trouble = ""

    async def run(self, saw: Callable[[Sight], None]) -> None:
        """Tell `saw`, in this loop, until cancelled."""
        ours, own = asyncio.get_running_loop(), asyncio.SelectorEventLoop()
        watching = own.create_task(self._watch(lambda sight: ours.call_soon_threadsafe(saw, sight)))

        def work() -> None:
            with contextlib.suppress(asyncio.CancelledError), contextlib.closing(own):
                own.run_until_complete(watching)

        working = ours.run_in_executor(None, work)
        try:
            await asyncio.shield(working)
        finally:
            if not working.done():
                own.call_soon_threadsafe(watching.cancel)
                await asyncio.shield(working)

    async def _watch(self, saw: Callable[[Sight], object]) -> None:
        """Nobody's telephone depends on this: where the kernel says no, nothing is seen, and said why."""
        while True:
            try:
                await self._watch_kernel(saw)
            except (OSError, NetlinkError) as error:
                if self._trouble != str(error):
                    self._trouble = str(error)
                    log.warning("netlink.failed", error=str(error), hint="systemd: RestrictAddressFamilies")
                saw(Sight(machine=machine(self._root)))
            await asyncio.sleep(LOOK_S)

    async def _watch_kernel(self, saw: Callable[[Sight], object]) -> None:
        async with AsyncIPRoute() as events:
            await events.bind(groups=EVENTS)
            changed = asyncio.Event()
            listening = asyncio.create_task(self._listen(events, changed))
            try:
                while not listening.done():
                    changed.clear()
                    sight = await look(self._addresses, self._root)
                    await asyncio.sleep(0)  # in which its socket is closed
                    sweep()  # each message of pyroute2 holds itself: 150 kB of four links
                    self._trouble = ""
                    saw(sight)
                    rows = [sight.neighbour(way) for way in sight.ways]
                    self._macs = {row.mac for row in rows if row is not None and row.mac}
                    for way in sight.ways:
                        if way.kind == "neighbour":
                            _knock(way.address)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), LOOK_S)
                        await asyncio.sleep(CALM_S)
                await listening  # raises what ended it
            finally:
                listening.cancel()

    async def _listen(self, events: AsyncIPRoute, changed: asyncio.Event) -> None:
        while True:
            async for message in events.get():
                if self._matters(message):
                    changed.set()

    def _matters(self, message: Any) -> bool:
        """Neighbours come and go all day; only those asked for, and who shows their MAC, are worth a look."""
        if message["event"] not in ("RTM_NEWNEIGH", "RTM_DELNEIGH"):
            return True
        mac = _mac(message.get_attr("NDA_LLADDR"))
        return message.get_attr("NDA_DST") in self._addresses or mac in self._macs


def _knock(address: str) -> None:
    """An empty datagram, so that the kernel asks the neighbour whether it is still there (RFC 4861 7.3)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as knocking:
        knocking.setblocking(False)
        knocking.sendto(b"", (address, DISCARD))


def _link(found: Any, root: Path) -> Link:
    name = found.get_attr("IFLA_IFNAME")
    return Link(
        index=found["index"],
        name=name,
        address=_mac(found.get_attr("IFLA_ADDRESS")),
        permanent=_mac(found.get_attr("IFLA_PERM_ADDRESS")),
        bus=found.get_attr("IFLA_PARENT_DEV_BUS_NAME") or "",
        kind=found.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") or "",
        by_hand=_by_hand(root / "sys/class/net" / name, found["index"]),
    )


def _by_hand(folder: Path, index: int) -> bool | None:
    """Netlink does not tell who set an address; /sys may be that of another network namespace."""
    if text_of(folder / "ifindex") != str(index):
        return None
    return text_of(folder / "addr_assign_type") == SET_BY_HAND


def _neighbour(found: Any) -> Neighbour:
    address = found.get_attr("NDA_DST") or ""
    return Neighbour(found["ifindex"], address, _mac(found.get_attr("NDA_LLADDR")), found["state"])


async def _way(kernel: AsyncIPRoute, address: str) -> Way:
    try:
        (found,) = await kernel.route("get", dst=address)
    except NetlinkError:  # unreachable, prohibited: the kernel says it with an error
        return Way("none", address)
    link = found.get_attr("RTA_OIF") or 0
    router = found.get_attr("RTA_GATEWAY") or (found.get_attr("RTA_VIA") or {}).get("address", "")
    if found["type"] == HERE:
        return Way("here", address, link)
    if found["type"] != UNICAST:
        return Way("none", address)
    return Way("routed", address, link, router) if router else Way("neighbour", address, link)


def _mac(text: str | None) -> str:
    return (normal_mac(text) or "") if text else ""
