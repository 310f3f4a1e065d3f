"""TLS at the edge: whom phones and PBX believe, whom the agent believes, and what the log says of it."""

import asyncio
import datetime
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.config import AgentConfig
from agent.edges.doctor import certificate
from agent.edges.doctor.pbx import checks
from runtime.config import ConfigErrors, parse
from tests.acceptance.peers.waiting import until
from tests.agent.conftest import House
from tests.agent.scripted_pbx import Address, free_port
from tests.agent.stream_phone import StreamPbx, StreamPhone
from tests.authority import DAY, Authority, Files

HOST = "127.0.0.1"


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority of the agent, its PBX and its phones."""
    return Authority(tmp_path / "ours")


@pytest.fixture
def strange(tmp_path: Path) -> Authority:
    """Another one, of the same name."""
    return Authority(tmp_path / "strange")


@pytest.fixture
def tls(house: House, ours: Authority) -> Address:
    """A TLS listener of the agent."""
    port = free_port()
    house.listen.append(f"tls:{HOST}:{port}")
    files = ours.issue(HOST)
    house.sip["tls"] = {"certificate": str(files.certificate), "key": str(files.key)}
    return HOST, port


def client(authority: Authority, files: Files | None = None) -> ssl.SSLContext:
    """A phone's TLS."""
    context = ssl.create_default_context(cafile=authority.certificate)
    if files is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def server(files: Files, authority: Authority | None = None) -> ssl.SSLContext:
    """A PBX's TLS; with an authority it wants the agent's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if authority is not None:
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def said(logs: list[Any], event: str) -> str:
    """What the first line of this event says went wrong."""
    found = await asyncio.to_thread(until, lambda: [line for line in logs if line["event"] == event])
    return str(found[0].get("detail") or found[0].get("error") or found[0]["why"])


async def test_a_phone_registers_under_tls(house: House, tls: Address, ours: Authority) -> None:
    async with house.running():
        phone = await StreamPhone.open(tls, tls=client(ours))
        assert phone.writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert await phone.registered("202") == 200
        await phone.close()


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ("nothing", "TLS: it showed no certificate, and phones_ca wants one"),
        ("of another authority", "TLS: its certificate is refused: "),
        ("expired", "TLS: its certificate is refused: certificate has expired"),
        ("right", ""),
    ],
)
async def test_client_certificates(
    house: House, tls: Address, ours: Authority, strange: Authority, shown: str, why: str
) -> None:
    house.sip["tls"]["phones_ca"] = str(ours.certificate)
    files = {
        "nothing": None,
        "of another authority": strange.issue("phone"),
        "expired": ours.issue("phone", life=-DAY),
        "right": ours.issue("phone"),
    }[shown]
    with capture_logs() as logs:
        async with house.running():
            phone = await StreamPhone.open(tls, tls=client(ours, files))
            if why:
                assert (await said(logs, "message.rejected")).startswith(why)
                with pytest.raises((EOFError, ConnectionError, ssl.SSLError)):
                    await phone.registered("202")
                assert house.pbx.requests == []
            else:
                assert await phone.registered("202") == 200
            await phone.close()


@pytest.mark.parametrize(
    ("first", "why"),
    [(b"REGISTER sip:a SIP/2.0\r\n\r\n", "TLS: it does not speak TLS"), (b"\x16\x03\x01\xff\xff", "TLS: ")],
)
async def test_what_is_no_tls(house: House, tls: Address, first: bytes, why: str) -> None:
    with capture_logs() as logs:
        async with house.running():
            phone = await StreamPhone.open(tls)
            phone.send(first)
            await phone.ended()
            assert (await said(logs, "message.rejected")).startswith(why)
            await phone.close()


async def test_old_versions_are_refused(house: House, tls: Address, ours: Authority) -> None:
    old = client(ours)
    old.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with house.running():
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await StreamPhone.open(tls, tls=old)


async def test_new_certificates_count_for_new_connections(
    house: House, tls: Address, ours: Authority, strange: Authority
) -> None:
    files = house.sip["tls"]
    async with house.running() as main:
        before = await StreamPhone.open(tls, tls=client(ours))
        new = strange.issue(HOST)
        shutil.copy(new.certificate, files["certificate"])
        with capture_logs() as logs:
            main.reload()  # the key does not fit
        assert [line["event"] for line in logs] == ["certificates.kept"]
        assert logs[0]["error"] == f"{files['key']} is not the key of {files['certificate']}"
        between = await StreamPhone.open(tls, tls=client(ours))
        shutil.copy(new.key, files["key"])
        main.reload()
        after = await StreamPhone.open(tls, tls=client(strange))
        for user, phone in (("202", before), ("203", between), ("204", after)):
            assert await phone.registered(user) == 200
            await phone.close()


# --- the PBX


@pytest.fixture
async def pbx(house: House, tls: Address, ours: Authority) -> AsyncIterator[StreamPbx]:
    """A PBX that the agent speaks to by TLS."""
    pbx = StreamPbx(house.pbx)
    await pbx.open(tls=server(ours.issue(HOST), ours))
    house.sip["pbx"] = f"tls:{HOST}:{pbx.address[1]}"
    house.sip["tls"]["pbx_ca"] = str(ours.certificate)
    yield pbx
    await pbx.close()


async def test_agent_and_pbx_know_each_other(house: House, pbx: StreamPbx) -> None:
    async with house.running():
        assert await house.register("202") == 200


@pytest.mark.parametrize(
    ("names", "life", "why"),
    [
        (("127.0.0.2",), DAY, "TLS: its certificate is refused: IP address mismatch"),
        (("pbx.example",), DAY, "TLS: its certificate is refused: IP address mismatch"),
        ((HOST,), -DAY, "TLS: its certificate is refused: certificate has expired"),
    ],
)
async def test_a_pbx_that_is_not_believed(
    house: House, pbx: StreamPbx, ours: Authority, names: tuple[str], life: datetime.timedelta, why: str
) -> None:
    await pbx.close()
    await pbx.open(pbx.address[1], tls=server(ours.issue(*names, life=life)))
    with capture_logs() as logs:
        async with house.running():
            (await house.phone()).register(house.guard, "202")
            assert (await said(logs, "pbx.connection_failed")).startswith(why)
            assert house.pbx.requests == []


async def test_a_pbx_of_another_authority(house: House, pbx: StreamPbx, strange: Authority) -> None:
    house.sip["tls"]["pbx_ca"] = str(strange.certificate)
    with capture_logs() as logs:
        async with house.running():
            (await house.phone()).register(house.guard, "202")
            assert (await said(logs, "pbx.connection_failed")).startswith("TLS: its certificate is refused: ")
    del house.sip["tls"]["pbx_ca"]  # then it is the system's authorities that count
    with capture_logs() as logs:
        async with house.running():
            (await house.phone()).register(house.guard, "202")
            assert (await said(logs, "pbx.connection_failed")).startswith("TLS: its certificate is refused: ")
    assert house.pbx.requests == []


async def test_the_name_of_the_pbx_may_be_another(house: House, pbx: StreamPbx, ours: Authority) -> None:
    await pbx.close()
    await pbx.open(pbx.address[1], tls=server(ours.issue("pbx.example")))
    house.sip["tls"]["pbx_name"] = "pbx.example"
    async with house.running():
        assert await house.register("202") == 200


async def test_a_pbx_that_does_not_believe_us(house: House, pbx: StreamPbx, strange: Authority) -> None:
    files = strange.issue(HOST)
    house.sip["tls"] |= {"certificate": str(files.certificate), "key": str(files.key)}
    with capture_logs() as logs:
        async with house.running():
            (await house.phone()).register(house.guard, "202")
            assert await said(logs, "pbx.disconnected") == "the PBX ended it"  # asyncio's says no more
            assert house.pbx.requests == []


async def test_doctor_asks_the_pbx_under_tls(
    house: House, pbx: StreamPbx, ours: Authority, strange: Authority
) -> None:
    async def found() -> dict[str, tuple[str, str]]:
        (entry,) = parse(house.config_text(), "agent.yaml", AgentConfig).pbxs
        findings = await asyncio.to_thread(
            lambda: [*checks(entry, "not running"), *certificate.checks(entry)]
        )
        return {finding.check: (finding.state, finding.detail) for finding in findings}

    place, files = house.sip["pbx"], house.sip["tls"]
    assert (await found())["pbx"] == ("ok", f"{place} answered 200 OK")
    assert (await found())["certificate"] == ("warning", f"{files['certificate']} is good for 0 days")
    files["certificate"], files["key"] = map(str, (ours.issue(HOST, life=-DAY).certificate, "nowhere"))
    assert (await found())["certificate"] == ("failed", f"{files['certificate']} expired")
    assert (await found())["pbx"] == ("failed", f"{place}: nowhere cannot be read: No such file or directory")
    good = ours.issue(HOST, life=30 * DAY)
    house.sip["tls"] = {"certificate": str(good.certificate), "key": str(good.key)}
    house.sip["tls"]["pbx_ca"] = str(strange.certificate)
    assert (await found())["certificate"][0] == "ok"
    state, detail = (await found())["pbx"]
    assert (state, detail.startswith(f"{place}: TLS: its certificate is refused: ")) == ("failed", True)


# --- the configuration


@pytest.mark.parametrize(
    ("key", "content", "why"),
    [
        ("certificate", None, "cannot be read: No such file or directory"),
        ("certificate", "nothing", "holds no certificate in PEM form"),
        ("key", None, "cannot be read: No such file or directory"),
        ("key", "nothing", "holds no private key in PEM form"),
        ("key", "other", "is not the key of "),
        ("phones_ca", "nothing", "holds no certificate in PEM form"),
        ("pbx_ca", None, "cannot be read: No such file or directory"),
    ],
)
def test_files_that_cannot_be_used(
    house: House, tls: Address, ours: Authority, tmp_path: Path, key: str, content: str | None, why: str
) -> None:
    house.sip["pbx"] = f"tls:{HOST}:5061"
    parse(house.config_text(), "agent.yaml", AgentConfig, files=True)
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_bytes(ours.issue("other").key.read_bytes() if content == "other" else b"nothing")
    house.sip["tls"][key] = str(path)
    text = house.config_text()
    parse(text, "agent.yaml", AgentConfig)
    with pytest.raises(ConfigErrors) as raised:
        parse(text, "agent.yaml", AgentConfig, files=True)
    (error,) = raised.value.errors
    assert (error.line, error.path) == (6, f"pbxs[0].sip.tls.{key}")
    assert f"{path} {why}" in error.message


def test_tls_listeners_need_a_certificate(house: House, tls: Address) -> None:
    del house.sip["tls"]
    with pytest.raises(ConfigErrors, match=r"listen\[1\]: found tls:.* and no tls: beside it"):
        parse(house.config_text(), "agent.yaml", AgentConfig)


def test_what_is_checked_of_the_pbx_needs_tls_to_it(house: House, tls: Address) -> None:
    house.sip["tls"]["pbx_name"] = "pbx.example"
    with pytest.raises(ConfigErrors, match=r"sip\.tls: found pbx_ca or pbx_name, and the PBX is at udp:"):
        parse(house.config_text(), "agent.yaml", AgentConfig)
