"""What `pbx-agent doctor` asks a PBX, by each transport, and what it makes of the answers."""

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig, PbxEntry
from agent.edges.doctor import call_records, emergency, master, objects, pbx, secret
from agent.edges.doctor.finding import Finding
from agent.edges.doctor.question import NoSipError, ask
from agent.store import enrolment
from licensing.codes import Code
from runtime.certificates import Identity, server_context
from runtime.config import parse
from runtime.signing import SigningKey
from runtime.tls import make_certificate
from tests.agent.conftest import House
from tests.agent.scripted_master import ScriptedMaster
from tests.agent.scripted_pbx import ScriptedPbx, free_port, response
from tests.agent.test_program import asked, command, started
from tests.authority import Authority

CONFIG = """
data: data
pbxs:
  - name: lyon
    software: 13
    sip: {{listen: ["{transport}:127.0.0.1:{port}"], pbx: "{transport}:127.0.0.1:{pbx}"{sip}}}
    objects: [{objects}]
"""
NAMED = '{kind: user, aor: ["201", "carol@example.com"]}, {kind: user, name: dave, aor: ["2?9", "203"]}'
SEEN = {"with_path": 0, "without_path": 0, "contacts_kept": 0, "contacts_changed": 0}


def entry(port: int = 5060, *, transport: str = "udp", objects: str = "", sip: str = "") -> PbxEntry:
    own = free_port()
    text = CONFIG.format(transport=transport, port=own, pbx=port, objects=objects, sip=sip)
    return parse(text, "agent.yaml", AgentConfig).pbxs[0]


async def examined(made: PbxEntry, **facts: Any) -> dict[str, tuple[str, str]]:
    """State and detail of each check about this PBX; the scripted one answers meanwhile."""
    known = {"lyon": {"proven": [], "sightings": SEEN, **facts}}
    found = await asyncio.to_thread(lambda: list(pbx.checks(made, known)))
    return {finding.check: (finding.state, finding.detail) for finding in found}


@pytest.fixture
async def server() -> AsyncIterator[ScriptedPbx]:
    made = await ScriptedPbx.open()
    yield made
    made.close()


async def test_it_asks_for_each_aor_that_is_spelled_out(server: ScriptedPbx) -> None:
    server.challenge = True
    found = await examined(entry(server.address[1], objects=NAMED, sip=", domain: example.org"))
    assert found["trust"] == (
        "ok", "the PBX asks 201@example.org, carol@example.com, 203@example.org for a password",
    )  # fmt: skip
    queries = [request.split(b"\r\n") for request in server.requests if request.startswith(b"REGISTER")]
    assert [query[0].split()[1] for query in queries] == [
        b"sip:example.org", b"sip:example.com", b"sip:example.org",
    ]  # fmt: skip
    for query in queries:
        assert not [line for line in query if line.startswith((b"Contact", b"Expires", b"Authorization"))]


async def test_one_object_without_a_password_is_enough(server: ScriptedPbx) -> None:
    def judge(request: bytes) -> None:
        server.challenge = b"To: <sip:201@" not in request

    server.on_request = judge
    state, detail = (await examined(entry(server.address[1], objects=NAMED)))["trust"]
    assert (state, detail.endswith(f"no password asked of 201@127.0.0.1:{server.address[1]}")) == (
        "failed",
        True,
    )


async def test_objects_that_have_registered_are_asked_for_too(server: ScriptedPbx) -> None:
    found = await examined(entry(server.address[1], objects=NAMED), proven=["dave", "777"])
    assert "777@127.0.0.1" in found["trust"][1]
    assert "dave@" not in found["trust"][1], "that is a name, no AOR"


async def test_what_says_nothing_of_trust(server: ScriptedPbx) -> None:
    nobody = await examined(entry(server.address[1]))
    assert nobody["trust"] == ("unknown", "no AOR to ask for")
    server.status = "404 Not Found"
    unknown = await examined(entry(server.address[1], objects='{kind: user, aor: ["201"]}'))
    assert unknown["trust"][0] == "unknown"
    assert unknown["trust"][1].endswith("the PBX said 404 Not Found")


async def test_a_pbx_that_is_silent_for_strangers(server: ScriptedPbx) -> None:
    def judge(request: bytes) -> None:
        server.silent = request.startswith(b"REGISTER")

    server.on_request = judge
    found = await examined(entry(server.address[1], objects=NAMED))
    assert found["trust"] == ("unknown", "not tried: the PBX answers no REGISTER of a stranger")
    assert sum(request.startswith(b"REGISTER") for request in server.requests) == 1


@pytest.mark.parametrize(
    ("seen", "path", "contacts"),
    [
        ({}, "unknown", "unknown"),
        ({"with_path": 3, "contacts_kept": 2}, "ok", "ok"),
        ({"without_path": 1}, "failed", "unknown"),
        (
            {"with_path": 9, "without_path": 1, "contacts_kept": 9, "contacts_changed": 1},
            "warning",
            "warning",
        ),
    ],
)
async def test_what_the_agent_has_seen(
    server: ScriptedPbx, seen: dict[str, int], path: str, contacts: str
) -> None:
    found = await examined(entry(server.address[1]), sightings={**SEEN, **seen})
    assert (found["path"][0], found["contacts"][0]) == (path, contacts)


async def test_without_the_agent_there_is_nothing_seen(server: ScriptedPbx) -> None:
    found = await asyncio.to_thread(lambda: list(pbx.checks(entry(server.address[1]), "it does not run")))
    assert {each.check: each.state for each in found} == {
        "pbx": "ok", "trust": "unknown", "path": "unknown", "contacts": "unknown",
    }  # fmt: skip


@asynccontextmanager
async def stream_pbx(
    answer: Callable[[bytes], bytes], tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A PBX by TCP or TLS that answers in pieces; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        for piece in (part for part in answer(request).partition(b"SIP")):
            writer.write(piece)
            await writer.drain()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_pbx_behind_tcp_is_asked_by_tcp() -> None:
    def answer(request: bytes) -> bytes:
        return response(request, "100 Trying") + response(request, "401 Unauthorized")

    async with stream_pbx(answer) as port:
        made = entry(port, transport="tcp", objects='{kind: user, aor: ["201"]}')
        assert await asyncio.to_thread(ask, made.sip, "OPTIONS", "sip:x", "sip:x") == "401 Unauthorized"
        assert (await examined(made))["trust"][0] == "ok"
    async with stream_pbx(lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        with pytest.raises(NoSipError):
            await asyncio.to_thread(ask, entry(port, transport="tcp").sip, "OPTIONS", "sip:x", "sip:x")


async def test_a_pbx_behind_tls_is_asked_by_tls_and_must_be_the_right_one(tmp_path: Path) -> None:
    right, wrong = Authority(tmp_path / "right"), Authority(tmp_path / "wrong", "Another authority")
    shown = right.issue("127.0.0.1")
    context = server_context(Identity(shown.certificate, shown.key), [])
    async with stream_pbx(lambda request: response(request, "200 OK"), context) as port:
        for authority, state in ((right, "ok"), (wrong, "failed")):
            tls = f', tls: {{certificate: "{shown.certificate}", key: "{shown.key}"'
            tls += f', pbx_ca: "{authority.certificate}"}}'
            assert (await examined(entry(port, transport="tls", sip=tls)))["pbx"][0] == state


@pytest.mark.parametrize(
    ("sip", "aor", "country", "extensions"),
    [
        ("", "201", "warning", None),
        (", country: FR", "201", "ok", None),
        (", country: FR", "17", "ok", "warning"),
        (', country: DE, trunk_prefix: "0"', "0110@x", "ok", "warning"),
        (", country: DE", "17", "ok", None),
        (', country: DE, emergency: ["17"]', "17", "ok", "warning"),
    ],
)
def test_emergency_numbers_and_extensions(sip: str, aor: str, country: str, extensions: str | None) -> None:
    found = emergency.checks(entry(sip=sip, objects=f'{{kind: user, aor: ["{aor}"]}}'))
    states = {finding.check: finding.state for finding in found}
    assert (states["emergency"], states.get("extensions")) == (country, extensions)


async def test_a_trusting_pbx_fails_the_whole_examination(house: House) -> None:
    config: Path = house.data.parent / "agent.yaml"
    await asyncio.to_thread(config.write_text, house.config_text())
    async with started(config):
        assert await house.register("201") == 200
        code, out, _ = await command("doctor", "--config", str(config))
        assert (code, "no password asked of" in out) == (1, True)
        house.pbx.challenge = True
        checks = {each["check"]: each["state"] for each in (await asked(config, "doctor"))["checks"]}
        assert (checks["trust"], checks["contacts"]) == ("ok", "ok")


@pytest.mark.parametrize(
    ("source", "warned"),
    [
        ("dialect: asterisk_custom, file: /c.csv, trunks: [PJSIP/carrier-]", True),
        ("dialect: asterisk_master, file: /m.csv, trunks: [PJSIP/carrier-]", True),
        ("dialect: asterisk_custom, file: /c.csv", False),
        ("dialect: asterisk_cel, file: /cel.csv, trunks: [PJSIP/carrier-]", False),
        ("dialect: cucm, directory: /srv, trunks: [carrier]", False),
    ],
)
def test_it_says_which_records_do_not_tell_who_pays_a_line(source: str, warned: bool) -> None:
    text = CONFIG.format(transport="udp", port=free_port(), pbx=5060, objects="", sip="")
    text += f"    cdrs: {{sources: [{{name: records, {source}}}]}}\n"
    found = list(call_records.checks(parse(text, "agent.yaml", AgentConfig).pbxs[0]))
    assert [(each.check, each.state) for each in found] == [("records", "warning")] * warned
    assert all("records" in each.detail and "asterisk_ami_cel" in each.hint for each in found)


@pytest.mark.parametrize(
    ("ahead_s", "state"),
    [(30, "ok"), (-30, "ok"), (90, "warning"), (-90, "warning"), (90_000, "failed"), (-172_800, "failed")],
)
async def test_a_clock_that_is_not_the_masters(tmp_path: Path, ahead_s: int, state: str) -> None:
    def answer(_: bytes) -> bytes:
        return f"HTTP/1.1 200 OK\r\nDate: {formatdate(time.time() - ahead_s, usegmt=True)}\r\n\r\n".encode()

    found = {each.check: each for each in await told_by(answer, tmp_path)}
    assert (found["master"].state, found["clock"].state) == ("ok", state)
    assert ("ahead" if ahead_s > 0 else "behind") in found["clock"].detail or state == "ok"


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nDate: soon\r\n\r\n"]
)
async def test_who_tells_no_time_is_not_compared(said: bytes, tmp_path: Path) -> None:
    found = {each.check: each.state for each in await told_by(lambda _: said, tmp_path)}
    assert found == {"enrolment": "ok", "master": "ok"}


async def told_by(answer: Callable[[bytes], bytes], home: Path) -> list[Finding]:
    """What doctor finds of a master with this answer to everything."""
    scripted, key, directory = ScriptedMaster(home), SigningKey.generate(), home / "lyon"
    certificate, secret = make_certificate(home, "master")
    directory.mkdir()
    key.save(directory / enrolment.KEY_FILE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
        writer.close()

    context = server_context(Identity(certificate, secret), [])
    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        scripted.port = server.sockets[0].getsockname()[1]
        enrolment.save(directory, scripted.enrolment("lyon", key))
        return await asyncio.to_thread(lambda: list(master.checks(directory, "lyon")))


@pytest.mark.parametrize(
    ("site", "state", "advice"),
    [
        ("in_sync", "ok", ""),
        ("away", "ok", ""),
        ("revoked", "failed", "invite --pbx lyon"),
        ("grace_over", "failed", "link"),
    ],
)
def test_a_site_that_serves_nobody_new_is_not_ok(site: str, state: str, advice: str) -> None:
    known = {"lyon": {"bindings": 2, "state": site, "proven": []}}
    found = next(each for each in objects.checks(entry(), known) if each.check == "agent")
    assert (found.state, advice in found.hint) == (state, True)


async def test_an_agent_that_was_revoked_hears_so_and_what_to_do(house: House) -> None:
    config: Path = house.data.parent / "agent.yaml"
    await asyncio.to_thread(config.write_text, house.config_text())
    async with started(config) as agent:
        house.master.say = [Code.AGENT_REVOKED] * 20
        code, _, err = await command("bye", "--config", str(config))
        assert (code, "agent_revoked" in err, "did not answer" in err) == (1, True, False), err
        assert "licence-master release-site lyon" in err
        _, out, _ = await command("doctor", "--json", "--config", str(config))
        checks = {each["check"]: each for each in json.loads(out)["checks"]}
        assert checks["agent"]["state"] == "failed"
        assert (checks["clock"]["pbx"], checks["clock"]["state"]) == ("lyon", "ok"), (
            "the master told the time"
        )
        assert agent.process.returncode is None


@pytest.mark.parametrize(
    ("mode", "state"), [(0o600, "ok"), (0o640, "warning"), (0o644, "warning"), (None, "failed")]
)
def test_a_secret_that_others_may_read(tmp_path: Path, mode: int | None, state: str) -> None:
    file = tmp_path / "asterisk.secret"
    if mode is not None:
        file.write_text("s")
        file.chmod(mode)
    text = CONFIG.format(transport="udp", port=free_port(), pbx=5060, objects="", sip="")
    text += f'    asterisk: {{manager: "127.0.0.1:5038", user: agent, secret: "{file}"}}\n'
    found = list(secret.checks(parse(text, "agent.yaml", AgentConfig).pbxs[0]))
    assert [(each.check, each.state, str(file) in each.detail) for each in found] == [("secret", state, True)]
    assert list(secret.checks(entry())) == []


async def test_doctor_looks_at_the_secret(house: House, tmp_path: Path) -> None:
    file, config = tmp_path / "asterisk.secret", tmp_path / "agent.yaml"
    file.write_text("s")
    file.chmod(0o644)
    house.asterisk = {"manager": f"127.0.0.1:{free_port()}", "user": "agent", "secret": str(file)}
    await asyncio.to_thread(config.write_text, house.config_text())
    _, out, _ = await command("doctor", "--json", "--config", str(config))
    assert {each["check"]: each["state"] for each in json.loads(out)["checks"]}["secret"] == "warning"
