"""The box that licences are bound to, beside its site: what is seen of its MAC goes with every sync.

It stands between a site and its conversation and adds its own word; what follows from it the master decides
(decision 0036). Nothing is looked at before a master has said that something is bound to a MAC.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import msgspec

from agent.config import PbxEntry
from agent.service.alarms import Alarms
from agent.service.site import Site
from licensing import wire
from licensing.box.proof import Sight, prove
from licensing.box.sighting import CODES, GOOD, Sighting
from licensing.codes import Code, hint
from licensing.site import share
from licensing.site.record import ShareRecord
from runtime.clock import Clock
from runtime.logs import logger

ALARMS = tuple(dict.fromkeys(CODES.values()))


class Box:
    """Fulfils `agent.service.sync.Local` for its site; `process` tells places of this agent from others'."""

    def __init__(self, site: Site, entry: PbxEntry, alarms: Alarms, clock: Clock, process: str) -> None:
        self.address = entry.box_address
        self.sighting: Sighting | None = None
        self._site = site
        self._statement = entry.box.statement
        self._alarms = alarms
        self._clock = clock
        self._process = process
        self._log = logger(pbx=entry.name)
        self._told: wire.Box | None = None
        self._sight: Sight | None = None
        self._certified = ""
        self._look: Callable[[], None] = _nobody
        self._speak: Callable[[], None] = _nobody

    def serve(self, look: Callable[[], None], speak: Callable[[], None]) -> None:
        """From now on `look` asks for `saw` whenever something changed, and `speak` for a sync at once."""
        self._look, self._speak = look, speak
        if self._told is not None:
            self._look()

    # what is seen

    def saw(self, sight: Sight) -> None:
        """The host sees this now."""
        self._sight = sight
        self._judge()

    def certified(self, mac: str) -> None:
        """The box showed a certificate with this MAC; empty: none that we trust."""
        self._certified = mac
        self._judge()

    def _judge(self) -> None:
        if self._sight is None or self._told is None:
            return
        sight = replace(self._sight, certified=((self.address, self._certified),))
        told = self._told
        found = prove(sight, self.address, told.mac, virtual=told.virtual, statement=self._statement)
        found = msgspec.structs.replace(found, place=self._place(sight))
        before, self.sighting = self.sighting, found
        if before is None or before.why != found.why:
            self._log.info("box.seen", state=found.state, proof=found.proof, why=found.why)
        if found != before:
            self._alarm()
            self._speak()

    def _place(self, sight: Sight) -> str:
        """The same for two PBXs of this agent that are one box."""
        at = "" if sight.way(self.address).kind == "here" else self.address
        return hashlib.sha256(f"{self._process} {at}".encode()).hexdigest()[:16]

    # what goes with a sync, and what comes back

    def statement(self) -> share.Statement:
        """What the site says, and what is seen of its box."""
        said = self._site.statement()
        if self.sighting is None or self._sight is None:
            return said
        machine = self._sight.machine
        macs = tuple(link.permanent for link in self._sight.links if link.physical)
        seen = wire.Hardware(macs, machine.id, machine.virtual, self.sighting.proof)
        return msgspec.structs.replace(said, hardware=seen, relay=self.sighting)

    def answered(self, record: ShareRecord, answer: wire.Answer) -> None:
        """The site uses the answer; the policy may name another MAC, or say what is held of it."""
        self._site.answered(record, answer)
        self.obey(record)

    def unanswered(self, record: ShareRecord) -> None:
        """Nothing changes for the box."""
        self._site.unanswered(record)

    def obey(self, record: ShareRecord) -> None:
        """Look for the MAC that this record's policy names; nothing is bound to any MAC: look no more."""
        before, self._told = self._told, record.policy.box
        if self._told == before:
            return
        if self._told is None:
            self.sighting = None
        else:
            self._look()
            self._judge()
        self._alarm()

    def _alarm(self) -> None:
        """What the master holds of the MAC is an alarm, with what is seen here, whether or not it counts."""
        told, seen = self._told, self.sighting
        code = Code(told.code) if told is not None and told.code in [*ALARMS] else None
        if code is Code.MAC_UNPROVABLE and (seen is None or seen.state in GOOD):
            code = None  # nobody has looked yet, or the master is about to hear of it
        self._alarms.clear(*(other for other in ALARMS if other is not code))
        if told is None or code is None:
            return
        why = f"{seen.why}. " if seen is not None else ""
        counts = "What is bound to it counts all the same." if told.counts else "Nothing bound to it counts."
        self._alarms.raise_(code, self._clock.wall_ms(), f"{why}{counts} {hint(code)}")

    def facts(self) -> dict[str, object]:
        """What `pbx-agent hardware` and `doctor` are told; `mac` None: nothing is bound to a MAC."""
        told, seen = self._told, self.sighting
        return {
            "address": self.address,
            "mac": told.mac if told is not None else None,
            "virtual": told.virtual if told is not None else False,
            "code": told.code if told is not None else "",
            "counts": told.counts if told is not None else True,
            "certified": self._certified,
            "state": seen.state if seen is not None else "unseen",
            "why": seen.why if seen is not None else "",
        }


def _nobody() -> None:
    """Before `serve` nobody looks and nobody speaks."""
