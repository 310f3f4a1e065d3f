"""A licence file from the key to the phone: keygen, issue, install, supersede, revoke, all as shipped.

Real programs: licence-file, licence-master, two pbx-agents in front of a Kamailio each.
"""

import json
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.acceptance.peers.asked import run
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network
from tests.acceptance.test_two_sites import GATEWAYS, Phones, refusals, served

pytestmark = pytest.mark.real("kamailio")

HQ_MAC, LYON_MAC = "00-90-33-00-00-00", "00-90-33-00-00-01"  # as the house gives them


class Desk:
    """The issuer's desk: a folder with a root, a key that it vouches for, and what they sign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.root: str = json.loads(self.type("keygen", "root.key", "--json"))["public"]
        self.type("keygen", "sales.key", "--issuer", "Example GmbH", "--root-key", self.path("root.key"))

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def type(self, command: str, name: str, *words: str) -> str:
        return run("licence-file", command, self.path(name), *words)

    def issue(self, name: str, *words: str) -> str:
        """The path of a new file."""
        self.type("issue", name, *words, "--key", self.path("sales.key"))
        return self.path(name)


def refused(house: House, file: str) -> str:
    """What `install` says to a file that it must refuse."""
    words = [own_command("licence-master"), "install", file, "--config", str(house.config)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done
    return done.stderr


async def test_a_file_serves_the_next_phone_and_nobody_is_dropped_when_it_goes(network: Network) -> None:
    desk = Desk(network.folder / "desk")
    house = House(network, {"PBX-Port13": 1}, GATEWAYS, roots=[desk.root]).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        phones = Phones(stack)
        await served("the one of the inventory", phones.register(hq, "1001"))
        assert refusals(lyon, await phones.register(lyon, "2001")) == ["no_free_licence"]

        first = desk.issue("1.licence", "2 PBX-Port13", "--issue-no", "1", "--mac", HQ_MAC)
        assert "every signature fits" in desk.type("verify", "1.licence", "--root", desk.root)
        house.command("install", first)
        await served("after the file", phones.register(lyon, "2001"))
        await served("after the file", phones.register(hq, "1002"))

        elsewhere = desk.issue("x.licence", "9 PBX-Port13", "--issue-no", "9", "--mac", LYON_MAC)
        assert "mac_mismatch" in refused(house, elsewhere)

        second = desk.issue("2.licence", "1 PBX-Port13", "--supersedes", first, "--mac", HQ_MAC)
        house.command("install", second)
        assert house.pool("port")["installed"] == 2
        assert "issue_old" in refused(house, first)
        await served("a refresh while there are too few", phones.register(lyon, "2001"))
        assert refusals(hq, await phones.register(hq, "1003")) == ["no_free_licence"]
        assert {*hq.contacts(), *lyon.contacts()} == {"1001", "1002", "2001"}

        revoked = desk.path("1.revocations")
        words = ("--root-key", desk.path("root.key"), "--file", second)
        run("licence-file", "revoke", revoked, *words)
        house.command("install", revoked)
        assert house.pool("port")["installed"] == 1
        assert "file_revoked" in refused(house, second)
        await served("a refresh after that", phones.register(hq, "1002"))
        await phones.unregister(hq, "1002")
        assert refusals(hq, await phones.register(hq, "1002")) == ["no_free_licence"]
