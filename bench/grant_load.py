"""Agents that only ask: each sync wants so many units more and brings the events of the units it got before.

Runs in a process and network of its own: `python -m bench.grant_load ADDRESS=DATA_DIRECTORY…`, an enrolled
agent in each directory, which speaks from its address. Every answer is checked as an agent checks it
(signature, nonce, share). A round (worker.py) is so many syncs of each agent, one after another on one
connection.
"""

import asyncio
import base64
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from agent.store.enrolment import KEY_FILE, load
from bench.worker import Rounds
from licensing import wire
from licensing.site.holders import digest, fingerprint
from licensing.site.share import HELLO, SYNC
from runtime.signing import SigningKey, answer_type, request_type, verify
from runtime.tls import pinned_context

BATCH = 100
CLASS = "seat"


class RefusedError(Exception):
    """The master did not lend what was asked for: the run measures nothing."""


@dataclass
class Asker:
    """One agent: its identity, its connection and its share."""

    address: str
    home: Path
    granted: int = 0
    seq: int = 0
    again: int = 0

    def __post_init__(self) -> None:
        """Read the enrolment."""
        self._enrolment = load(self.home)
        self._key = SigningKey.load(self.home / KEY_FILE)
        self._master_key = base64.b64decode(self._enrolment.enrolled.master_key)
        self._prev = self._enrolment.enrolled.nonce
        self._used = 0
        self._fingerprints = 0

    async def connect(self) -> None:
        """Open the connection that all requests share."""
        url = urlsplit(self._enrolment.urls[0])
        context = pinned_context(self._enrolment.pins)
        self._host = url.netloc
        self._reader, self._writer = await asyncio.open_connection(
            url.hostname, url.port, ssl=context, local_addr=(self.address, 0)
        )

    async def hello(self) -> None:
        """Say hello, which already asks for the first 100 units."""
        await self._ask(HELLO, wire.Hello, BATCH)

    async def lend(self, units: int) -> int:
        """One sync; with 0 units it only reports."""
        await self._ask(SYNC, wire.Sync, units)
        return units

    async def _ask(self, path: str, kind: type[wire.Sync], units: int) -> None:
        """Use what is lent, want more, and hold the master to it."""
        body = msgspec.json.encode(self._message(kind, units))
        answer = msgspec.json.decode(await self._post(path, body), type=wire.Answer)
        lent = answer.shares[CLASS].granted - self.granted
        if lent != units or answer.ack_seq != self.seq:
            raise RefusedError(f"{lent} units instead of {units}: {answer.denials}")
        self.granted += lent
        self._prev = answer.nonce

    def _message(self, kind: type[wire.Sync], units: int) -> wire.Sync:
        self.seq += 1
        enrolled = self._enrolment.enrolled
        activity = self._activity()
        return kind(
            v=wire.VERSION,
            agent=enrolled.agent,
            installation=enrolled.installation,
            epoch=enrolled.epoch,
            instance=enrolled.instance,
            term=enrolled.term,
            seq=self.seq,
            prev=self._prev,
            boot="bench",
            sent_at_ms=time.time_ns() // 1_000_000,
            software=wire.Software(release=13),
            classes={CLASS: wire.ClassDemand(used=self.granted, want=self.granted + units)},
            holders={CLASS: digest(self._used, self._fingerprints)},
            activity=activity,
            policy_etag=enrolled.policy.etag,
            roster_version=enrolled.roster.version,
        )

    def _activity(self) -> tuple[wire.Activity, ...]:
        """One event for each unit that the last answer brought."""
        at_ms = time.time_ns() // 1_000_000
        numbers = range(self._used + 1, self.granted + 1)
        events = tuple(
            wire.Activity(
                n=n, at_ms=at_ms, object=f"{self.home.name}-{n}", kind="user", class_=CLASS, event="held"
            )
            for n in numbers
        )
        for event in events:
            self._fingerprints ^= fingerprint(event.object)
        self._used = self.granted
        return events

    async def _post(self, path: str, body: bytes) -> bytes:
        """Send one signed request; the body of a 200 that the master signed for it."""
        signature = self._key.sign(request_type("POST", path), body)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"X-Signature: {signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines if line)
        exact = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines}
        answer = await self._reader.readexactly(int(fields["content-length"]))
        status = int(first.split()[1])
        if status != 200:
            raise RefusedError(answer.decode())
        if not verify(self._master_key, answer_type(status, signature), answer, exact["x-signature"]):
            raise RefusedError("an answer that the master did not sign")
        return answer


async def main(words: list[str]) -> None:
    """Say hello for each agent, then answer rounds."""
    pairs = [word.partition("=") for word in words]
    askers = [Asker(address, Path(home)) for address, _, home in pairs]
    for asker in askers:
        await asker.connect()
        await asker.hello()
    await Rounds(askers).answer()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1:]))
