"""Every answer waits for its commit: a fresh one, its repeat, a denial and a refusal alike."""

import asyncio
import base64
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec

from licence_master.config import MasterConfig
from licence_master.service.answers import Received, Reply
from licence_master.service.founding import surroundings
from licence_master.service.installation import Installation, open_installation
from licence_master.store.directory import DataDirectory
from licence_master.store.keys import make_keys
from licensing import wire
from licensing.codes import Code, Refusal
from runtime.config import load
from runtime.signing import SigningKey
from tests.licence_master.master import Master


@asynccontextmanager
async def founded(home: Path) -> AsyncIterator[tuple[Installation, Path]]:
    """An installation in this process, and its store."""
    config = load(Master(home).config, MasterConfig)
    directory = DataDirectory(config.data)
    make_keys(directory, "localhost", "0.0")
    installation = await open_installation("acme", surroundings(config))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(installation.run())
        await installation.begin(config.installations[0], recovery=False)
        yield installation, directory.ledger("acme")
        installation.stop()
    await installation.close()


class Agent:
    """Just enough of an agent to talk to the service below the edge."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.public_key = base64.b64encode(SigningKey.generate().public).decode()
        self.enrolled: wire.Enrolled | None = None
        self.prev = ""

    async def join(self, pbx: str) -> "Agent":
        invited = await self.installation.enrolment.invite(pbx)
        assert not isinstance(invited, Refusal)
        message = wire.Enrol(
            v=1, token=invited.secret, public_key=self.public_key, software=wire.Software(13)
        )
        received = Received("/v1/agent/enrol", b"", "", self.public_key)
        reply = await self.installation.enrolment.enrol(message, received)
        assert isinstance(reply, Reply)
        self.enrolled = msgspec.json.decode(reply.body, type=wire.Enrolled)
        return self

    async def sync(
        self, seq: int, want: int, epoch: int = 1, activity: tuple[wire.Activity, ...] = ()
    ) -> Reply | Refusal:
        assert self.enrolled is not None
        request = wire.Sync(
            v=1,
            agent=self.enrolled.agent,
            installation="acme",
            epoch=epoch,
            instance=self.enrolled.instance,
            term=self.enrolled.term,
            seq=seq,
            prev=self.prev or self.enrolled.nonce,
            boot="b",
            sent_at_ms=0,
            software=wire.Software(13),
            classes={"seat": wire.ClassDemand(used=0, want=want)},
            activity=activity,
        )
        received = Received("/v1/agent/sync", msgspec.json.encode(request), "", self.public_key)
        reply = await self.installation.answers.sync(request, received)
        if activity and isinstance(reply, Reply):
            self.prev = msgspec.json.decode(reply.body, type=wire.Answer).nonce
        return reply


async def test_nothing_is_answered_before_it_is_durable(tmp_path: Path) -> None:
    async with founded(tmp_path) as (installation, store):
        lyon, hq = await Agent(installation).join("lyon"), await Agent(installation).join("hq")
        with closing(sqlite3.connect(store)) as disk:
            disk.execute("BEGIN IMMEDIATE")  # no commit gets through until this one ends
            asked = [
                asyncio.ensure_future(lyon.sync(1, 5)),
                asyncio.ensure_future(lyon.sync(1, 5)),  # the repeat
                asyncio.ensure_future(hq.sync(1, 5)),  # denied: nothing is installed
                asyncio.ensure_future(hq.sync(2, 5, epoch=0)),  # refused
            ]
            done, _ = await asyncio.wait(asked, timeout=0.3)
            assert done == set()
            disk.rollback()
        fresh, repeat, denied, refused = await asyncio.gather(*asked)
        assert isinstance(fresh, Reply)
        assert repeat == fresh
        assert isinstance(denied, Reply)
        assert msgspec.json.decode(denied.body, type=wire.Answer).denials["seat"].code == "no_free_licence"
        assert isinstance(refused, Refusal)
        assert refused.code is Code.EPOCH_OLD


async def test_the_last_answer_and_what_was_said_survive_a_restart(tmp_path: Path) -> None:
    async with founded(tmp_path) as (installation, _):
        lyon = await Agent(installation).join("lyon")
        first = await lyon.sync(1, 5)
        state = installation.writer.state
    async with founded(tmp_path) as (installation, _):
        lyon.installation = installation
        assert await lyon.sync(1, 5) == first
        late = await lyon.sync(0, 5)
        assert isinstance(late, Refusal)
        assert late.code is Code.SEQ_OLD
        again = installation.writer.state
        assert (again.instance, again.shares, again.agents) == (state.instance, state.shares, state.agents)
        assert again.term == state.term + 1
