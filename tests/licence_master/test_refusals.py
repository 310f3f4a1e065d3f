"""What a master refuses: each with its code, logged, and with nothing changed in the ledger."""

import asyncio
import base64
import sqlite3
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import msgspec
import pytest

from licensing import wire
from runtime.signing import SigningKey, request_type
from runtime.tls import PinMismatchError
from tests.licence_master.conftest import join, stock
from tests.licence_master.master import Master
from tests.licence_master.peer import Peer, Said

SYNC = "/v1/agent/sync"

Steps = AsyncIterator[Said | None]
"""What happened before, then (second) the attempt itself."""


async def wrong_token(master: Master, peer: Peer) -> Steps:
    invited = master.order("/invites", {"pbx": "hq"})
    id_ = invited["token"].partition(".")[0]
    yield None
    yield await peer.enrol(f"{id_}.{'a' * 32}")


async def made_up_token(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.enrol("0123456789.aaaa")


async def used_token(master: Master, _peer: Peer) -> Steps:
    invited = master.order("/invites", {"pbx": "hq"})
    async with Peer(master.url, master.pin) as first:
        assert (await first.enrol(invited["token"])).status == 200
    async with Peer(master.url, master.pin) as second:
        yield None
        yield await second.enrol(invited["token"])


async def enrolment_signed_by_another_key(master: Master, peer: Peer) -> Steps:
    invited = master.order("/invites", {"pbx": "hq"})
    public_key = base64.b64encode(SigningKey.generate().public).decode()
    message = wire.Enrol(v=1, token=invited["token"], public_key=public_key, software=wire.Software(13))
    yield None
    yield await peer.send("POST", "/v1/agent/enrol", msgspec.json.encode(message))


async def foreign_key(_master: Master, peer: Peer) -> Steps:
    body = peer.sync_body({}, seq=9)
    yield None
    yield await peer.send("POST", SYNC, body, key=SigningKey.generate())


async def no_signature(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send_signed("POST", SYNC, peer.sync_body({}, seq=9), "")


async def changed_body(_master: Master, peer: Peer) -> Steps:
    body = peer.sync_body({"seat": wire.ClassDemand(0, 1)}, seq=9)
    signature = peer.key.sign(request_type("POST", SYNC), body)
    yield None
    yield await peer.send_signed("POST", SYNC, body.replace(b'"want":1', b'"want":9'), signature)


async def signed_for_another_route(_master: Master, peer: Peer) -> Steps:
    body = peer.sync_body({}, seq=9)
    signature = peer.key.sign(request_type("POST", "/v1/agent/hello"), body)
    yield None
    yield await peer.send_signed("POST", SYNC, body, signature)


async def another_agents_name(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({}, seq=9, agent="nice"))


async def unknown_installation(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({}, seq=9, installation="elsewhere"))


async def replayed(_master: Master, peer: Peer) -> Steps:
    """An older request again, which was answered and followed by another one."""
    await peer.sync({"seat": 8})
    path, body = peer.last_sent
    await peer.sync({"seat": 3})
    yield None
    yield await peer.send("POST", path, body)


async def seq_with_another_body(_master: Master, peer: Peer) -> Steps:
    await peer.sync({"seat": 3})
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({"seat": wire.ClassDemand(0, 8)}))


async def old_epoch(master: Master, peer: Peer) -> Steps:
    master.order(f"/agents/{peer.name}/release-site", {})
    yield None
    yield await peer.sync({"seat": 3})


async def newer_term(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({}, seq=9, term=99))


async def another_instance(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({}, seq=9, instance="ffff"))


async def another_version(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, peer.sync_body({}, seq=9, v=2))


async def revoked(master: Master, peer: Peer) -> Steps:
    master.order(f"/agents/{peer.name}/revoke", {})
    yield None
    yield await peer.sync({"seat": 3})


async def too_large(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, b" " * (wire.MAX_BODY + 1))


async def no_json(_master: Master, peer: Peer) -> Steps:
    yield None
    yield await peer.send("POST", SYNC, b"{")


Attempt = Callable[[Master, Peer], Steps]
ATTEMPTS: list[tuple[Attempt, int, str, bool]] = [
    # attempt, status, code, answer signed (the agent is known and it was its key)
    (wrong_token, 401, "token_invalid", False),
    (made_up_token, 401, "token_invalid", False),
    (used_token, 401, "token_invalid", False),
    (enrolment_signed_by_another_key, 401, "signature_invalid", False),
    (foreign_key, 401, "signature_invalid", False),
    (no_signature, 401, "signature_invalid", False),
    (changed_body, 401, "signature_invalid", False),
    (signed_for_another_route, 401, "signature_invalid", False),
    (another_agents_name, 401, "unknown_agent", False),
    (unknown_installation, 404, "unknown_installation", False),
    (replayed, 409, "seq_old", True),
    (seq_with_another_body, 403, "clone_suspected", True),
    (old_epoch, 409, "epoch_old", True),
    (newer_term, 409, "hello_needed", True),
    (another_instance, 409, "hello_needed", True),
    (another_version, 400, "version_unsupported", True),
    (revoked, 403, "agent_revoked", True),
    (too_large, 413, "too_large", False),
    (no_json, 422, "invalid_request", False),
]


def ledger(master: Master) -> list[tuple[int, bytes]]:
    with closing(sqlite3.connect(master.ledger())) as connection:
        return connection.execute("SELECT seq, body FROM event ORDER BY seq").fetchall()


@pytest.fixture(scope="module")
def busy_master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Master]:
    """One master for all attempts, with a PBX for each."""
    home = tmp_path_factory.mktemp("refusals")
    with Master(home, more_pbxs=[f"pbx{n}" for n in range(len(ATTEMPTS))]).init().start() as master:
        stock(master, "PBX-Port13,100")
        yield master


@pytest.mark.parametrize("number", range(len(ATTEMPTS)), ids=[attempt[0].__name__ for attempt in ATTEMPTS])
async def test_refused(busy_master: Master, number: int) -> None:
    attempt, status, code, signed = ATTEMPTS[number]
    source = f"127.0.1.{number + 1}"  # else they are too many enrolments of one address
    async with await join(busy_master, f"pbx{number}", source=source) as peer:
        steps = attempt(busy_master, peer)
        assert await anext(steps) is None
        before, logged = ledger(busy_master), len(busy_master.logged("request.refused"))
        said = await anext(steps)
        assert said is not None
        assert (said.status, said.code) == (status, code)
        assert peer.is_signed(said) is signed
        news = ledger(busy_master)[len(before) :]
        assert [b"CloneSuspected" in body for _, body in news] == [True] * (code == "clone_suspected")
    busy_master.wait_for("request.refused", logged + 1)
    assert busy_master.logged("request.refused")[-1]["code"] == code


async def test_a_wrong_pin_is_noticed_before_a_byte_is_sent(master: Master) -> None:
    invited = master.order("/invites", {"pbx": "hq"})
    async with Peer(master.url, "sha256:" + "0" * 64) as peer:
        with pytest.raises((PinMismatchError, httpx.ConnectError, ssl.SSLError)):
            await peer.enrol(invited["token"])
    assert master.logged("request.refused") == []
    async with Peer(master.url, master.pin) as peer:
        assert (await peer.enrol(invited["token"])).status == 200


async def test_a_token_is_dead_after_five_wrong_tries(master: Master) -> None:
    invited = master.order("/invites", {"pbx": "hq"})
    id_ = invited["token"].partition(".")[0]
    async with Peer(master.url, master.pin) as peer:
        wrong = [await peer.enrol(f"{id_}.{'b' * 32}") for _ in range(5)]
        assert {said.code for said in wrong} == {"token_invalid"}
        assert (await peer.enrol(invited["token"])).code == "token_invalid"


async def test_an_enrolment_whose_answer_was_lost_can_be_repeated(master: Master) -> None:
    invited = master.order("/invites", {"pbx": "hq"})
    async with Peer(master.url, master.pin) as peer:
        first = await peer.enrol(invited["token"])
        assert await peer.enrol(invited["token"]) == first


async def test_a_pbx_that_holds_a_share_is_released_before_it_joins_again(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 3})
        assert master.order("/invites", {"pbx": "lyon"}, status=409)["code"] == "share_held"
        master.order("/agents/lyon/release-site", {})
    async with await join(master, "lyon") as again:
        assert again.epoch == 3
        assert (await again.sync({"seat": 1})).status == 200


async def test_a_released_site_comes_back_by_its_key_with_share_0(master: Master) -> None:
    async with await join(master, "lyon") as lyon:
        await lyon.sync({"seat": 3})
        master.order("/agents/lyon/release-site", {})
        assert (await lyon.sync({"seat": 3})).code == "epoch_old"
        lyon.proofs, lyon.shares = [], {}
        answer = (await lyon.hello({"seat": 2})).decoded(wire.Answer)
        assert (answer.epoch, answer.shares["seat"].granted) == (2, 2)


async def test_an_older_term_writes_nothing(master: Master) -> None:
    """A second writer is fenced by the store itself, and the ledger is append-only."""
    row = "INSERT INTO event (seq, term, at_ms, actor, body, hash) VALUES (?, ?, 0, 'x', x'', x'')"
    with closing(sqlite3.connect(master.ledger())) as connection:
        ((last,),) = connection.execute("SELECT max(seq) FROM event")
        (term,) = connection.execute("SELECT term FROM meta").fetchone()
        for sql, values in (
            (row, (last + 1, term - 1)),
            (row, (last, term)),
            ("UPDATE event SET actor = ? WHERE seq = ?", ("me", last)),
            ("DELETE FROM event WHERE seq = ?", (last,)),
            ("UPDATE meta SET term = ?", (term - 1,)),
        ):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(sql, values)


async def test_an_agent_that_asks_too_often_is_told_to_wait(tmp_path: Path) -> None:
    with Master(tmp_path, agents=", agent_per_s: 2").init().start() as master:
        stock(master, "PBX-Port13,10")
        async with await join(master, "lyon") as lyon:
            await lyon.sync({"seat": 1})
            repeated = await asyncio.gather(*(lyon.again() for _ in range(20)))
            assert {each.status for each in repeated} == {200, 429}
            limited = [each for each in repeated if each.status == 429]
            assert {each.code for each in limited} == {"rate_limited"}
            assert all(lyon.is_signed(each) for each in limited)
