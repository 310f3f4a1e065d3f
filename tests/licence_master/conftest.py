"""Real masters and small agents for the tests of this directory."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.licence_master.master import Master
from tests.licence_master.peer import Peer


@pytest.fixture
def master(tmp_path: Path) -> Iterator[Master]:
    """A master that serves installation acme with 10 Port and 4 IPVA licences."""
    with Master(tmp_path).init().start() as master:
        stock(master, "PBX-Port13,10", "PBX-IPVA13,4")
        yield master


def stock(master: Master, *rows: str, installation: str = "acme") -> None:
    """Install these licences (`TYPE,COUNT`)."""
    content = "type,count\n" + "".join(f"{row}\n" for row in rows)
    master.order("/licences", {"files": [{"name": "stock.csv", "content": content}]}, installation)


async def join(master: Master, pbx: str, installation: str = "acme", source: str | None = None) -> Peer:
    """Invite and enrol, from this address."""
    invited = master.order("/invites", {"pbx": pbx}, installation)
    peer = Peer(invited["url"], invited["pin"], source=source)
    said = await peer.enrol(invited["token"])
    assert said.status == 200, said.body
    return peer
