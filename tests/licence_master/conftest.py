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
    inventory = master.home / f"{installation}.csv"
    inventory.write_text("type,count\n" + "".join(f"{row}\n" for row in rows))
    master.command("install", str(inventory), "--installation", installation)


async def join(master: Master, pbx: str, installation: str = "acme") -> Peer:
    """Invite and enrol, as two people would."""
    line = master.command("invite", "--pbx", pbx, "--installation", installation).split()
    assert line[:3] == ["pbx-agent", "join", master.url]
    assert line[6] == master.pin
    peer = Peer(line[2], line[6])
    said = await peer.enrol(line[4])
    assert said.status == 200, said.body
    return peer
