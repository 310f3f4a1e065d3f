"""What is wrong is refused with its code, logged, and changes nothing: not in the books, not for a phone.

Real programs in every test: licence-master, pbx-agents, each in front of a Kamailio with digest. The
attacker is a signed client of the protocol, or a server of the test at the master's address.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from demo.phone import Phone
from licensing import wire
from runtime.signing import SigningKey
from runtime.tls import make_certificate
from tests.acceptance.house import AGENTS, House
from tests.acceptance.peers.asked import ask
from tests.acceptance.peers.imposter import GRANTED, Imposter
from tests.acceptance.peers.installed import own_command
from tests.acceptance.peers.network import Network
from tests.acceptance.peers.processes import Command
from tests.acceptance.peers.relay import relay
from tests.acceptance.peers.waiting import until
from tests.acceptance.site import Site
from tests.licence_master.peer import Peer, Said

pytestmark = pytest.mark.real("kamailio")

PBXS = {"hq": "gateway", "lyon": "gateway"}
SYNC = "/v1/agent/sync"
REFUSED = 1  # exit code of a command that was refused


def books(house: House) -> Any:
    """What no refusal may change: the ledger, the pools, what each site has on record."""
    shares = [(row["pbx"], row["class_"], row["granted"], row["drawn"]) for row in house.get("shares")]
    return house.get("history"), house.get("pools"), shares


def refused_codes(house: House) -> list[str]:
    """The codes of the requests that the master refused, as it logged them."""
    return [line["code"] for line in house.logged("request.refused")]


def invitation(house: House, pbx: str) -> dict[str, str]:
    """What `licence-master invite` says."""
    invited: dict[str, str] = json.loads(house.command("invite", "--pbx", pbx, "--json"))
    return invited


def try_to_join(house: House, url: str, token: str, pin: str) -> subprocess.CompletedProcess[str]:
    """`pbx-agent join` with these words, in a directory of its own."""
    folder = house.network.folder / "joining"
    words = ["join", url, "--token", token, "--pin", pin, "--config", str(folder / "agent.yaml")]
    command = house.network.inside([own_command("pbx-agent"), *words, "--data", str(folder / "data")])
    return subprocess.run(command, capture_output=True, text=True, check=False)


@asynccontextmanager
async def signed_client(house: House, pbx: str) -> AsyncIterator[Peer]:
    """A client of the protocol that has joined as the agent of this PBX."""
    invited = invitation(house, pbx)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(relay(house.network, house.host, AGENTS))
        peer = await stack.enter_async_context(Peer(f"https://127.0.0.1:{port}", invited["pin"]))
        said = await peer.enrol(invited["token"])
        assert said.status == 200, said.body
        yield peer


async def registered(stack: AsyncExitStack, site: Site, *users: str) -> list[Phone]:
    """Phones of this site, registered."""
    phones = [await stack.enter_async_context(site.handset(user)) for user in users]
    assert [(await phone.register()).status for phone in phones] == [200] * len(users)
    return phones


def alarms(site: Site) -> set[str]:
    """The codes of the alarms that this agent raises now."""
    answer = ask(site.agent.folder / "data" / "agent.sock", "/status")
    return {alarm["code"] for alarm in answer["pbxs"][0]["alarms"]}


async def test_who_may_not_join_is_told_why(network: Network) -> None:
    """Wrong, used and made-up tokens; and a wrong pin, before the server has seen a request."""
    house = House(network, {"PBX-Port13": 3}, PBXS).build()
    invited = invitation(house, "lyon")
    url, token, pin = invited["url"], invited["token"], invited["pin"]
    before = books(house)

    id_, _, secret = token.partition(".")
    for wrong in (f"{id_}.{secret[::-1]}", "0123456789.aaaa"):
        done = await asyncio.to_thread(try_to_join, house, url, wrong, pin)
        assert (done.returncode, done.stderr.split(":")[0]) == (REFUSED, "token_invalid"), done.stderr
    assert refused_codes(house) == ["token_invalid"] * 2

    done = await asyncio.to_thread(try_to_join, house, url, token, "sha256:" + "0" * 64)
    assert (done.returncode, done.stderr.split(":")[0]) == (REFUSED, "pin_mismatch"), done.stderr
    elsewhere, foreign = network.address(), network.folder / "imposter"
    foreign.mkdir()
    imposter = Imposter(make_certificate(foreign, "master"), SigningKey.generate(), "other", 9)
    async with imposter.serving(network, elsewhere, AGENTS):
        there = url.replace(house.host, elsewhere)
        done = await asyncio.to_thread(try_to_join, house, there, token, pin)
    assert (done.returncode, done.stderr.split(":")[0]) == (REFUSED, "pin_mismatch"), done.stderr
    assert imposter.requests == []
    assert refused_codes(house) == ["token_invalid"] * 2
    assert books(house) == before

    done = await asyncio.to_thread(try_to_join, house, url, token, pin)
    assert done.returncode == 0, done.stderr
    before = books(house)
    done = await asyncio.to_thread(try_to_join, house, url, token, pin)
    assert (done.returncode, done.stderr.split(":")[0]) == (REFUSED, "token_invalid"), done.stderr
    assert books(house) == before


async def test_what_an_agent_may_not_say_is_refused_and_changes_nothing(network: Network) -> None:
    """Beside a real site whose phones notice nothing."""
    house = House(network, {"PBX-Port13": 12}, PBXS).build()
    hq = house.site("hq")
    async with AsyncExitStack() as stack:
        (phone,) = await registered(stack, hq, "1001")
        await asyncio.to_thread(house.wait_used, 1)
        lyon = await stack.enter_async_context(signed_client(house, "lyon"))
        await lyon.sync({"seat": 1})
        old = lyon.last_sent
        await lyon.sync({"seat": 2})
        assert lyon.shares == {"seat": 2}
        granted = house.granted() | {"lyon": 2}

        async def refused(code: str, attempt: Any, *, signed: bool) -> None:
            before, logged = books(house), refused_codes(house)
            said: Said = await attempt
            assert said.status != 200, code
            assert said.code == code
            assert lyon.is_signed(said) is signed
            assert books(house) == before
            assert refused_codes(house) == [*logged, code]

        more = {"seat": wire.ClassDemand(used=2, want=6)}
        fresh = lyon.sync_body(more, seq=lyon.seq + 1)
        foreign = SigningKey.generate()
        await refused("signature_invalid", lyon.send("POST", SYNC, fresh, key=foreign), signed=False)
        as_hq = lyon.sync_body(more, seq=lyon.seq + 1, agent="hq")
        await refused("signature_invalid", lyon.send("POST", SYNC, as_hq), signed=False)
        elsewhere = lyon.sync_body(more, seq=lyon.seq + 1, installation="elsewhere")
        await refused("unknown_installation", lyon.send("POST", SYNC, elsewhere), signed=False)
        await refused("seq_old", lyon.send("POST", *old), signed=True)
        ahead = lyon.sync_body(more, seq=lyon.seq + 1, term=lyon.term + 1)
        await refused("hello_needed", lyon.send("POST", SYNC, ahead), signed=True)
        other_store = lyon.sync_body(more, seq=lyon.seq + 1, instance="0123456789abcdef")
        await refused("hello_needed", lyon.send("POST", SYNC, other_store), signed=True)

        before, last = books(house), lyon.last
        assert await lyon.again() == last  # an exact repeat: the stored answer, byte for byte
        assert books(house) == before

        house.command("release-site", "lyon", "--yes")
        await refused("epoch_old", lyon.send("POST", SYNC, fresh), signed=True)
        await refused("epoch_old", lyon.again(), signed=True)
        house.command("revoke", "lyon")
        await refused("agent_revoked", lyon.send("POST", SYNC, fresh), signed=True)
        assert house.granted()["hq"] == granted["hq"]
        assert (await phone.register()).status == 200
        house.assert_books_agree()


async def test_an_agent_obeys_no_one_who_is_not_its_master(network: Network) -> None:
    """Another TLS key or signing key, an older term, a second instance: each at its master's address."""
    house = House(network, {"PBX-Port13": 2}, PBXS, sync_s=1).build()
    hq = house.site("hq")
    async with AsyncExitStack() as stack:
        phones = await registered(stack, hq, "1001", "1002")
        late = await stack.enter_async_context(hq.handset("1003"))
        state = ask(house.folder / "data" / "admin.sock", "/api/v1/installations")[0]
        instance, term = state["instance"], state["term"]
        before = books(house)
        house.master.kill()

        keys = house.folder / "data" / "keys"
        tls, key = (keys / "tls.crt", keys / "tls.key"), SigningKey.load(keys / "master.key")
        foreign = network.folder / "imposter"
        foreign.mkdir()
        imposters = {
            "pin_mismatch": Imposter(make_certificate(foreign, "master"), key, instance, term + 1),
            "signature_invalid": Imposter(tls, SigningKey.generate(), instance, term + 1),
            "term_old": Imposter(tls, key, instance, term - 1),
            "instance_conflict": Imposter(tls, key, "0123456789abcdef", term),
        }
        for code, imposter in imposters.items():
            async with imposter.serving(network, house.host, AGENTS):
                await asyncio.to_thread(until, lambda code=code: code in alarms(hq), what=code)
                assert [(await phone.register()).status for phone in phones] == [200, 200]
                outcome = await late.register()
                assert (outcome.status, outcome.reason) == (403, "The licence master cannot be reached")
            assert bool(imposter.requests) is (code != "pin_mismatch")
            assert hq.granted() == 2 < GRANTED

        await asyncio.to_thread(house.master.start)
        await asyncio.to_thread(until, lambda: not alarms(hq) & set(imposters), what="the alarms are over")
        assert (await late.register()).warning == '399 hq "no_free_licence: No free licence"'
        assert books(house)[2] == before[2]
        house.assert_books_agree()


async def test_a_copied_store_lends_nothing_new_and_the_older_one_neither(network: Network) -> None:
    """A second master from an old copy, with the same keys at the same address; then the first one again."""
    house = House(network, {"PBX-Port13": 12}, PBXS, sync_s=1).build()
    hq, lyon = house.site("hq"), house.site("lyon")
    async with AsyncExitStack() as stack:
        (at_lyon,) = await registered(stack, lyon, "2001")
        house.master.end()
        second = network.folder / "second-master"
        shutil.copytree(house.folder, second)
        await asyncio.to_thread(house.master.start)
        phones = await registered(stack, hq, "1001", "1002", "1003")  # the copy knows nothing of these
        await asyncio.to_thread(house.wait_used, 4)
        share = {name: site.granted() for name, site in house.sites.items()}
        lyon.agent.end()
        house.master.kill()

        config = second / "master.yaml"
        words = ["licence-master", "serve", "--config", str(config)]
        copy = Command(network, "second-master", words, ready="master.ready")
        network.start(copy)
        await asyncio.to_thread(until, lambda: house.state("hq") == "recovering", what="hq found it behind")
        assert '"event": "recovery.started"' in copy.log
        await nothing_new(hq, phones, share)
        copy.end()

        await asyncio.to_thread(house.master.start)
        await asyncio.to_thread(house.master.wait_for, "recovery.started")
        await asyncio.to_thread(until, lambda: house.state("hq") == "recovering", what="hq found it behind")
        await nothing_new(hq, phones, share)
        await asyncio.to_thread(lyon.agent.start)
        await asyncio.to_thread(until, lambda: house.state("hq") == "in_sync", what="everybody said hello")
        assert [(await phone.register()).status for phone in (*phones, at_lyon)] == [200] * 4
        house.assert_books_agree()


async def nothing_new(site: Site, phones: list[Phone], share: dict[str, int]) -> None:
    """The share is as it was and its phones are served."""
    assert site.granted() == share[site.name]
    assert [(await phone.register()).status for phone in phones] == [200] * len(phones)
    async with AsyncExitStack() as stack:
        spare = share[site.name] - len(phones)
        more = [await stack.enter_async_context(site.handset(f"190{n}")) for n in range(spare + 1)]
        outcomes = [await phone.register() for phone in more]
        assert [outcome.status for outcome in outcomes] == [200] * spare + [403]
        assert '"recovering:' in outcomes[-1].warning
        assert [(await phone.unregister()).status for phone in more[:spare]] == [200] * spare
