"""The end of licences that were given for a time, and whatever else a day brings, while the master serves."""

import asyncio
from collections.abc import Mapping
from typing import Final

from licence_master.service.installation import Installation

EVERY_S: Final = 30


async def watch(installations: Mapping[str, Installation]) -> None:
    """Take out what has ended and follow the terms, now and every `EVERY_S` seconds, until cancelled."""
    while True:
        for installation in installations.values():
            await installation.administration.expire()
            await installation.terms.follow()
        await asyncio.sleep(EVERY_S)
