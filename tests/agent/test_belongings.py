"""Enrolment, key and journal that an agent cannot use: who is told, in one line, and what would help."""

import asyncio
import json
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from agent.store.enrolment import ENROLMENT_FILE, JOURNAL_FILE, KEY_FILE
from tests.agent.conftest import House
from tests.agent.test_program import PROGRAM, command, started
from tests.privileges import without_privileges


@pytest.fixture
def config(house: House) -> Path:
    path = house.data.parent / "agent.yaml"
    path.write_text(house.config_text())
    return path


async def examined(config: Path) -> tuple[str, str]:
    """State and text of doctor's check of the enrolment."""
    _, out, _ = await command("doctor", "--json", "--config", str(config))
    (found,) = (each for each in json.loads(out)["checks"] if each["check"] == "enrolment")
    return found["state"], found["detail"]


@pytest.mark.parametrize(
    ("name", "content", "mode", "advice"),
    [
        (KEY_FILE, None, 0o644, "chmod 600"),
        (KEY_FILE, b"", 0o600, "put your copy of it back"),
        (KEY_FILE, "gone", 0, "put your copy of it back"),
        (JOURNAL_FILE, b"no database, whatever it is", 0o600, "release-site lyon"),
    ],
)
async def test_what_cannot_be_used_is_named_and_nothing_starts(
    house: House, config: Path, name: str, content: bytes | str | None, mode: int, advice: str
) -> None:
    file = house.data / "lyon" / name
    if content == "gone":
        file.unlink()
    else:
        if isinstance(content, bytes):
            file.write_bytes(content)
        file.chmod(mode)
    code, out, err = await command("run", "--config", str(config))
    assert (code, out, len(err.splitlines())) == (4, "", 1)
    assert err.startswith(f"{file}: ")
    assert advice in err
    assert await examined(config) == ("failed", err.strip())


async def test_the_doctor_finds_a_key_that_the_next_start_will_refuse(house: House, config: Path) -> None:
    async with started(config):
        assert (await examined(config))[0] == "ok"
        (house.data / "lyon" / KEY_FILE).chmod(0o644)
        assert (await examined(config))[0] == "failed"


async def test_damage_inside_the_journal_is_one_line_of_the_log(house: House, config: Path) -> None:
    async with started(config) as agent:
        agent.process.terminate()
        assert await agent.ended() == 0
    file = house.data / "lyon" / JOURNAL_FILE
    file.write_bytes(file.read_bytes()[:100] + b"x" * 8_192)
    code, _, err = await command("run", "--config", str(config))
    (said,) = (json.loads(line) for line in err.splitlines())
    assert (code, said["event"], "exception" in said) == (1, "daemon.failed", False)
    assert said["error"].startswith(f"{file}: ")
    assert "release-site lyon" in said["error"]


@pytest.mark.parametrize("name", [ENROLMENT_FILE, KEY_FILE])
async def test_who_may_not_read_is_not_sent_to_join_again(house: House, config: Path, name: str) -> None:
    """Members of the service's group may ask the agent, and cannot read its files."""
    file = house.data / "lyon" / name
    file.chmod(0)
    for words in (("run",), ("doctor", "--json")):
        process = await asyncio.create_subprocess_exec(
            *without_privileges(), PROGRAM, *words, "--config", str(config), stdout=PIPE, stderr=PIPE
        )
        out, err = await process.communicate()
        text = (out + err).decode()
        assert f"{file}: permission denied; ask as root or as the user of the service" in text
        assert "join again" not in text
        assert process.returncode == 2 or words != ("run",)
