"""The real `pbx-agent` process: join, run, its commands, SIGTERM, and a power cut (kill -9)."""

import asyncio
import json
import sqlite3
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from time import gmtime, strftime
from typing import Any

import pytest

from agent.store import enrolment
from tests.acceptance.peers.typed import ended_here
from tests.agent.conftest import House
from tests.agent.scripted_master import TOKEN, ScriptedMaster
from tests.agent.scripted_pbx import status_of

PROGRAM = str(Path(sys.executable).with_name("pbx-agent"))


class Agent:
    """One `pbx-agent run` process and its log."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []

    async def until(self, event: str) -> dict[str, Any]:
        """Read the log up to this event."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            while line := await self.process.stderr.readline():
                self.log.append(json.loads(line))
                if self.log[-1]["event"] == event:
                    return self.log[-1]
        raise AssertionError(f"the log ended before {event}: {self.log}")

    async def ended(self) -> int:
        """The exit code, once the log has ended."""
        assert self.process.stderr is not None
        async with asyncio.timeout(20):
            rest = await self.process.stderr.read()
            self.log.extend(json.loads(line) for line in rest.splitlines())
            return await self.process.wait()


@asynccontextmanager
async def started(config: Path) -> AsyncIterator[Agent]:
    """A running agent process; killed at the end if it still runs."""
    process = await asyncio.create_subprocess_exec(PROGRAM, "run", "--config", str(config), stderr=PIPE)
    agent = Agent(process)
    try:
        await agent.until("agent.ready")
        yield agent
    finally:
        if process.returncode is None:
            process.kill()
            await agent.ended()


async def command(*words: str) -> tuple[int, str, str]:
    """Run `pbx-agent WORDS`: exit code, stdout and stderr."""
    done = await asyncio.to_thread(ended_here, ("pbx-agent", *words), within_s=30)
    return done.returncode, done.stdout, done.stderr


async def asked(config: Path, *words: str) -> Any:
    """The JSON answer of a command that must succeed."""
    code, out, err = await command(*words, "--json", "--config", str(config))
    assert code == 0, err
    return json.loads(out)


def rewrite(path: Path, old: str, new: str) -> None:
    """Edit a file as an administrator would."""
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def config(house: House) -> Path:
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    return path


async def test_ready_status_and_sigterm_keep_the_share(house: House, config: Path) -> None:
    async with started(config) as agent:
        assert agent.log[-1]["sip"] == {"lyon": [f"udp:127.0.0.1:{house.guard[1]}"]}
        assert await house.register("202") == 200
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert list(pbx) == [
            "name", "state", "master", "classes", "bindings", "enforcement", "bypass_until_ms", "standing_in",
            "rejections", "observed", "cdrs", "alarms",
        ]  # fmt: skip
        assert list(pbx["master"]) == ["url", "last_sync_ms", "away_s", "grace_left_s"]
        assert list(pbx["classes"]["seat"]) == [
            "granted", "recall_to", "used", "reserved", "waiting", "lingering", "surplus", "spare", "refused",
        ]  # fmt: skip
        assert (pbx["name"], pbx["state"], pbx["bindings"]) == ("lyon", "in_sync", 1)
        assert stat.S_IMODE((house.data / "agent.sock").stat().st_mode) == 0o660
        code, table, _ = await command("status", "--config", str(config))
        assert code == 0
        assert "in_sync" in table
        agent.process.terminate()
        assert await agent.ended() == 0
    assert house.master.requests[-1][0] != "/v1/agent/bye", "nothing was given back"
    assert (await command("status", "--config", str(config)))[0] == 3


async def test_restart_without_a_master_keeps_bindings_and_share(house: House, config: Path) -> None:
    async with started(config) as agent:
        assert await house.register("202") == 200
        assert await house.register("203") == 200
        agent.process.kill()
        await agent.ended()
    house.master.open.clear()
    async with started(config):
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert (pbx["state"], pbx["bindings"], pbx["classes"]["seat"]["used"]) == ("away", 2, 2)
        assert await house.register("202") == 200
        assert await house.register("203") == 200


async def test_after_kill_nine_no_want_falls(house: House, config: Path) -> None:
    """Safety rule 4: a crash gives nothing back before a snapshot or the longest granted expiry."""
    house.master.state = "short"
    async with started(config) as agent:
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        assert await house.register("203") == 200
        await house.heard_demand(used=2, want=2)
        agent.process.kill()
        await agent.ended()
    async with started(config):
        assert await phone.registered(house.guard, "202", expires=0) == 200
        await house.heard_demand(used=1, want=2)


async def test_kill_nine_between_the_answer_of_the_pbx_and_the_journal(house: House, config: Path) -> None:
    """Decision 0011: the PBX has bound a phone that the agent never heard of; nobody gets its unit."""
    house.master.capacity, house.master.state = 1, "short"
    house.pbx.silent = True
    async with started(config) as agent:
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(10):
            await house.pbx.received.get()  # the REGISTER is there, and its 200 never reaches the agent
        agent.process.kill()
        await agent.ended()
    house.pbx.silent = False
    async with started(config):
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert pbx["classes"]["seat"]["used"] == 1
        assert await house.register("203") == 403, "the only unit is 202's"
        assert await phone.registered(house.guard, "202") == 200
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert (pbx["classes"]["seat"]["used"], pbx["bindings"]) == (1, 1)


async def test_a_clean_stop_does_not_end_the_doubt_of_a_crash(house: House, config: Path) -> None:
    house.master.capacity, house.master.state = 1, "short"
    house.pbx.silent = True
    async with started(config) as agent:
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(10):
            await house.pbx.received.get()
        agent.process.kill()
        await agent.ended()
    async with started(config) as agent:
        agent.process.terminate()
        assert await agent.ended() == 0
    house.pbx.silent = False
    async with started(config):
        assert await house.register("203") == 403, "the PBX may still hold 202"


async def test_a_reservation_that_failed_is_not_remembered(house: House, config: Path) -> None:
    house.master.capacity = 2
    house.pbx.status = "403 Forbidden"
    async with started(config) as agent:
        assert await house.register("202") == 403
        house.pbx.status = "200 OK"
        assert await house.register("203") == 200, "its record is on disk, and so is all before it"
        agent.process.kill()
        await agent.ended()
    async with started(config):
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert pbx["classes"]["seat"]["used"] == 1


async def test_after_a_clean_stop_wants_fall_again(house: House, config: Path) -> None:
    house.master.state = "short"
    async with started(config) as agent:
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        await house.heard_demand(used=1, want=1)
        agent.process.terminate()
        assert await agent.ended() == 0
    async with started(config):
        assert await phone.registered(house.guard, "202", expires=0) == 200
        await house.heard_demand(used=0, want=0)


def stopped_clean(house: House) -> bool:
    """Whether the last stop left nothing in doubt."""
    with closing(sqlite3.connect(house.data / "lyon" / "agent.db")) as journal:
        return bool(journal.execute("SELECT value FROM mark WHERE name = 'clean_stop'").fetchone() == (1,))


async def test_a_stop_waits_for_what_the_pbx_owes(house: House, config: Path) -> None:
    """What was forwarded is answered, stored and passed on before the end, a first registration too."""
    house.pbx.silent = True
    async with started(config) as agent:
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(10):
            request, guard = await house.pbx.received.get()
        agent.process.terminate()
        await agent.until("daemon.stopping")
        await agent_reads_on(house)
        house.pbx.transport.sendto(house.pbx.answer(request), guard)
        assert status_of(await phone.answer()) == 200
        assert await agent.ended() == 0
    assert stopped_clean(house)
    house.pbx.silent = False
    async with started(config):
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert (pbx["classes"]["seat"]["used"], pbx["bindings"]) == (1, 1)


async def test_a_stop_waits_for_the_disk(house: House, config: Path) -> None:
    """The 200 of a first binding waits for its record (decision 0010), and the stop for both."""
    house.pbx.silent = True
    async with started(config) as agent:
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(10):
            request, guard = await house.pbx.received.get()
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")
            house.pbx.transport.sendto(house.pbx.answer(request), guard)
            await agent_reads_on(house)
            agent.process.terminate()
            await agent.until("daemon.stopping")
            with suppress(TimeoutError):  # on a busy machine the second of reading on may be over
                await agent_reads_on(house, 0.5)
            busy.execute("ROLLBACK")
        assert status_of(await phone.answer()) == 200
        assert await agent.ended() == 0
    assert stopped_clean(house)


async def agent_reads_on(house: House, within_s: float = 5.0) -> None:
    """Return when the guard has taken something in: it answers keep-alives itself. TimeoutError."""
    probe = await house.phone()
    probe.transport.sendto(b"\r\n\r\n", house.guard)
    async with asyncio.timeout(within_s):
        assert (await probe.received.get())[0] == b"\r\n"


async def test_a_pbx_that_never_answers_holds_no_stop(house: House, config: Path) -> None:
    house.pbx.silent = True
    async with started(config) as agent:
        phone = await house.phone()
        phone.register(house.guard, "202")
        async with asyncio.timeout(10):
            await house.pbx.received.get()
        agent.process.terminate()
        async with asyncio.timeout(3):
            assert await agent.ended() == 0
    assert not stopped_clean(house), "the PBX may bind 202 after all"


async def test_bypass_and_bye_commands(house: House, config: Path) -> None:
    house.master.capacity = 0
    async with started(config) as agent:
        code, _, err = await command("bypass", "--config", str(config))
        assert (code, "--for" in err) == (2, True)
        (pbx,) = (await asked(config, "bypass", "--for", "4h"))["pbxs"]
        assert pbx["bypass_until_ms"] is not None
        _, table, _ = await command("status", "--config", str(config))
        until = strftime("%Y-%m-%d %H:%M UTC", gmtime(pbx["bypass_until_ms"] / 1_000))
        assert f"Everything is admitted until {until}" in table
        code, _, err = await command("bypass", "--for", "8d", "--config", str(config))
        assert (code, err.strip()) == (2, "--for: found 8d; write at most 7d")
        assert await house.register("202") == 200
        (pbx,) = (await asked(config, "bypass", "--off"))["pbxs"]
        assert pbx["bypass_until_ms"] is None
        code, _, err = await command("stand-in", "hq", "--config", str(config))
        assert (code, "standby_for in master.yaml" in err) == (1, True)
        for words in (("status",), ("bypass", "--off"), ("stand-in", "hq"), ("bye",)):
            code, _, err = await command(*words, "--pbx", "metz", "--config", str(config))
            assert (code, err.strip()) == (2, "no PBX named metz in this agent"), words
        await asked(config, "bye")
        assert await agent.ended() == 0
        assert house.master.requests[-1][0] == "/v1/agent/bye"


async def test_bye_without_a_master_gives_nothing_back(house: House, config: Path) -> None:
    async with started(config):
        assert await house.register("202") == 200
        house.master.down = True
        code, _, err = await command("bye", "--config", str(config))
        assert code == 1
        assert "nothing was given back" in err
        (pbx,) = (await asked(config, "status"))["pbxs"]
        assert pbx["classes"]["seat"]["used"] == 1


async def test_only_one_process_serves_a_directory(house: House, config: Path) -> None:
    async with started(config):
        code, _, err = await command("run", "--config", str(config))
        assert code == 1
        assert "in use by process" in err


async def test_join_writes_key_enrolment_and_configuration(tmp_path: Path, master: ScriptedMaster) -> None:
    config, data = tmp_path / "etc" / "agent.yaml", tmp_path / "var"
    words = ("join", master.url, "--pin", master.pin, "--config", str(config), "--data", str(data))
    code, _, err = await command(*words, "--token", "wrong")
    assert (code, err.startswith("token_invalid")) == (1, True)
    assert list(data.iterdir()) == []
    code, out, err = await command(*words, "--token", TOKEN)
    assert (code, err) == (0, "")
    assert "lyon has joined acme (epoch 1)" in out
    key = data / "lyon" / enrolment.KEY_FILE
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert enrolment.load(data / "lyon").pins == (master.pin,)
    assert (await command("check-config", "--config", str(config)))[0] == 0
    config.write_text(config.read_text() + "# mine\n")
    assert (await command(*words, "--token", TOKEN))[0] == 0
    assert config.read_text().endswith("# mine\n"), "a configuration that is there is kept"


async def test_join_with_a_wrong_pin_sends_nothing(tmp_path: Path, master: ScriptedMaster) -> None:
    config, data = tmp_path / "agent.yaml", tmp_path / "var"
    words = ("join", master.url, "--token", TOKEN, "--pin", "sha256:" + "0" * 64)
    code, _, err = await command(*words, "--config", str(config), "--data", str(data))
    assert (code, err.startswith("pin_mismatch: the server's key is sha256:")) == (1, True)
    assert "('" not in err, "a text, no tuple"
    assert "licence-master invite" in err
    assert master.requests == []
    assert not config.exists()


async def test_join_at_the_port_of_administrators_says_so(tmp_path: Path, master: ScriptedMaster) -> None:
    config, data = tmp_path / "agent.yaml", tmp_path / "var"
    master.of_administrators = True
    words = ("join", master.url, "--token", TOKEN, "--pin", master.pin)
    code, _, err = await command(*words, "--config", str(config), "--data", str(data))
    assert (code, "no port of agents" in err, "token_invalid" in err) == (3, True, False)


async def test_join_as_another_pbx_than_expected_keeps_nothing(
    tmp_path: Path, master: ScriptedMaster
) -> None:
    config, data = tmp_path / "agent.yaml", tmp_path / "var"
    words = ("join", master.url, "--token", TOKEN, "--pin", master.pin, "--config", str(config))
    code, out, err = await command(*words, "--data", str(data), "--pbx", "nice")
    assert (code, out) == (1, "")
    assert "invitation of lyon, not of nice" in err
    assert "licence-master revoke lyon" in err
    assert list(data.iterdir()) == []
    assert not config.exists()
    assert (await command(*words, "--data", str(data), "--pbx", "lyon"))[0] == 0


async def test_join_beside_another_pbx_says_what_its_configuration_lacks(
    house: House, config: Path, master: ScriptedMaster
) -> None:
    rewrite(config, "name: lyon", "name: hq")
    words = ("join", master.url, "--token", TOKEN, "--pin", master.pin, "--config", str(config))
    code, out, err = await command(*words, "--json")
    note = f"{config}: add an entry named lyon to pbxs"
    assert (code, json.loads(out)["notes"], err.strip()) == (0, [note], note)


@pytest.mark.parametrize("place", ["/proc/x/agent.yaml", f"/tmp/{'x' * 300}.yaml", "/dev/null/agent.yaml"])
async def test_join_spends_no_token_where_no_configuration_can_be_written(
    place: str, tmp_path: Path, master: ScriptedMaster
) -> None:
    words = ("join", master.url, "--token", TOKEN, "--pin", master.pin, "--data", str(tmp_path / "var"))
    code, _, err = await command(*words, "--config", place)
    assert (code, err.startswith(f"{place}: "), len(err.splitlines())) == (4, True, 1)
    assert master.requests == []


async def test_join_says_what_to_write_where_the_configuration_went_wrong_afterwards(
    tmp_path: Path, master: ScriptedMaster
) -> None:
    config, data = tmp_path / "etc" / "agent.yaml", tmp_path / "var"
    master.on_enrol = config.parent.rmdir
    words = ("join", master.url, "--token", TOKEN, "--pin", master.pin, "--data", str(data))
    code, _, err = await command(*words, "--config", str(config))
    assert (code, len(err.splitlines())) == (4, 1)
    assert "lyon has joined" in err
    assert "write it by hand" in err
    assert enrolment.load(data / "lyon").pins == (master.pin,)


async def test_errors_have_their_exit_codes(house: House, config: Path) -> None:
    code, _, err = await command("check-config", "--config", "nowhere.yaml")
    assert (code, "cannot be read" in err) == (2, True)
    rewrite(config, "software: 13", "software: x")
    code, _, err = await command("run", "--config", str(config))
    assert (code, "nothing was started" in err) == (2, True)
    rewrite(config, "software: x", "software: 13")
    rewrite(config, "lyon", "metz")
    code, _, err = await command("run", "--config", str(config))
    assert (code, "licence-master invite --pbx metz" in err) == (2, True)


async def test_doctor_tells_what_it_sees(house: House, config: Path) -> None:
    house.pbx.challenge = True
    async with started(config):
        assert await house.register("201") == 200
        checks = (await asked(config, "doctor"))["checks"]
        states = {check["check"]: check["state"] for check in checks}
        assert states.pop("redirect") in ("warning", "unknown"), "not loaded here; only root can know"
        assert states == {
            "clock": "ok", "disk": "ok", "pbx": "ok", "trust": "ok", "path": "unknown", "contacts": "ok",
            "emergency": "warning", "enrolment": "ok", "master": "ok", "agent": "ok", "objects": "warning",
            "phones": "ok", "around": "unknown", "ballast": "ok",
        }  # fmt: skip
    house.pbx.close()
    code, out, _ = await command("doctor", "--config", str(config))
    assert code == 1
    assert "failed" in out


async def test_a_phone_registered_while_the_agent_ran_survives_in_the_token(
    house: House, config: Path
) -> None:
    """The flow secret is stored: a Path made before a restart leads to the phone after it."""
    async with started(config) as agent:
        phone = await house.phone()
        assert await phone.registered(house.guard, "202") == 200
        route = house.pbx.requests[-1].split(b"\r\nPath: ")[1].split(b"\r\n")[0]
        agent.process.kill()
        await agent.ended()
    async with started(config):
        host, port = house.pbx.address
        house.pbx.transport.sendto(
            b"OPTIONS sip:202@phone SIP/2.0\r\nVia: SIP/2.0/UDP %b:%d;branch=z9hG4bKx\r\nRoute: %b\r\n"
            b"Max-Forwards: 70\r\nFrom: <sip:pbx@pbx.test>;tag=1\r\nTo: <sip:202@phone>\r\n"
            b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n" % (host.encode(), port, route),
            house.guard,
        )
        assert (await phone.answer()).startswith(b"OPTIONS sip:202@phone")


async def test_what_waits_for_the_disk_holds_back_nobody_else(house: House) -> None:
    """Both datagrams are read in one turn: the first makes a record, the second needs none."""
    house.pbx.silent = True
    async with house.running():
        phone, other = await house.phone(), await house.phone()
        phone.register(house.guard, "202")
        request, guard = await house.pbx.received.get()
        with closing(sqlite3.connect(house.data / "lyon" / "agent.db", isolation_level=None)) as busy:
            busy.execute("BEGIN IMMEDIATE")
            house.pbx.transport.sendto(house.pbx.answer(request), guard)
            other.transport.sendto(b"\r\n\r\n", house.guard)
            async with asyncio.timeout(5):
                assert (await other.received.get())[0] == b"\r\n"
            busy.execute("ROLLBACK")
        assert status_of(await phone.answer()) == 200
