"""The house holds: imports go one way, the cores are pure, rooms stay small (docs/architecture.md)."""

import ast
import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.store import enrolment
from agent.store.enrolment import Enrolment
from licensing import wire
from runtime.signing import SigningKey
from tests.agent.scripted_master import POLICY
from tests.agent.scripted_pbx import free_port
from tests.licence_master.master import Master

ROOT = Path(__file__).parent.parent

# What each package may import of our own.
ALLOWED: dict[str, set[str]] = {
    "telephony": {"telephony"},
    "licensing": {"licensing"},
    "runtime": {"runtime"},
    "agent": {"agent", "telephony", "licensing", "runtime"},
    "licence_file": {"licence_file", "licensing", "runtime"},
    "licence_master": {"licence_master", "telephony", "licensing", "runtime"},
    "billing": {"billing", "telephony", "runtime"},
}
# Inside a program a layer may import itself and the layers before it; config sits beside the store.
LAYERS = ["config", "store", "service", "edges", "main", "cli"]
PURE = ("telephony", "licensing")
IMPURE_MODULES = {
    "asyncio", "os", "sys", "io", "pathlib", "socket", "ssl", "sqlite3", "aiosqlite", "threading",
    "subprocess", "selectors", "time", "datetime", "random", "secrets", "tempfile", "shutil", "logging",
    "structlog", "httpx", "starlette", "uvicorn", "yaml", "importlib", "signal", "uuid",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input", "exec", "eval"}
# Pure too, but for calendar days: a date may come in, and is never asked of a clock.
DAYS = ("billing/core",)
CLOCK_CALLS = {"now", "today", "utcnow"}
# What a start need not carry: each costs more than most of our own packages (decision 0051).
HEAVY_FOR_DAEMONS = {
    "dns",
    "duckdb",
    "fastapi",
    "httpx",
    "prometheus_client",
    "pyroute2",
    "websockets.asyncio",
}
HEAVY_FOR_COMMANDS = {
    "asyncio",
    "cryptography.x509",
    "fastapi",
    "httpx",
    "pygments",
    "rich",
    "starlette",
    "structlog",
    "uvicorn",
}
MAX_MODULE = 400
MAX_FUNCTION = 50
POSSESSIVE = re.compile(r"(?<!\()\)(?:[*+?]|\{[0-9,]*\})\+")


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import; write the whole name"
            yield node.lineno, node.module or ""


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def broken_directions(package: str) -> list[str]:
    found = []
    for path in modules(package):
        for line, name in imported(parse(path)):
            root = name.split(".")[0]
            if root in ALLOWED and root not in ALLOWED[package]:
                found.append(f"{path.relative_to(ROOT)}:{line}: {package} must not import {name}")
    return found


def broken_layers(package: str) -> list[str]:
    found = []
    for path in modules(package):
        parts = path.relative_to(ROOT / package).parts
        layer = parts[0].removesuffix(".py")
        if layer not in LAYERS:
            continue
        for line, name in imported(parse(path)):
            words = name.split(".")
            if words[0] != package or len(words) < 2 or words[1] not in LAYERS:
                continue
            if LAYERS.index(words[1]) > LAYERS.index(layer):
                found.append(f"{path.relative_to(ROOT)}:{line}: {layer} must not import {name}")
    return found


def impurities(path: Path) -> list[str]:
    tree = parse(path)
    found = [
        f"{path.relative_to(ROOT)}:{line}: a pure package imports {name}"
        for line, name in imported(tree)
        if name.split(".")[0] in IMPURE_MODULES
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: a pure package does not await")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            found.append(f"{path.relative_to(ROOT)}:{node.lineno}: a pure package calls {node.func.id}()")
    return found


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_follow_the_plan(package: str) -> None:
    assert broken_directions(package) == []


@pytest.mark.parametrize("package", ["agent", "billing", "licence_master"])
def test_layers_inside_a_program_point_down(package: str) -> None:
    assert broken_layers(package) == []


def masters_business(package: str) -> list[str]:
    """What an agent's side of the licences imports of the master's: it sees the wire only."""
    others = ("lender", "files", "named", "terms", "ledger", "state", "administration")
    return [
        f"{path.relative_to(ROOT)}:{line}: a site must not import {name}"
        for path in modules(package)
        for line, name in imported(parse(path))
        if name.startswith(tuple(f"licensing.{other}" for other in others))
    ]


def test_a_site_knows_only_the_wire() -> None:
    assert masters_business("licensing/site") == []


@pytest.mark.parametrize("package", PURE)
def test_cores_are_pure(package: str) -> None:
    assert [text for path in modules(package) for text in impurities(path)] == []


def clocks(path: Path) -> list[str]:
    """Impurities of a package that may name calendar days: it imports datetime, and asks no clock."""
    asked = [
        f"{path.relative_to(ROOT)}:{node.lineno}: a pure package asks {node.attr}()"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_CALLS
    ]
    return asked + [text for text in impurities(path) if not text.endswith("imports datetime")]


@pytest.mark.parametrize("package", DAYS)
def test_cores_of_days_are_pure(package: str) -> None:
    assert [text for path in modules(package) for text in clocks(path)] == []


def test_rooms_stay_small() -> None:
    found = []
    for path in modules(*ALLOWED):
        lines = len(path.read_text().splitlines())
        if lines > MAX_MODULE:
            found.append(f"{path.relative_to(ROOT)}: {lines} lines, at most {MAX_MODULE}")
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or node.lineno) - node.lineno + 1
                if size > MAX_FUNCTION:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name} has {size} lines")
    assert found == []


def test_no_augmented_assignment_with_await() -> None:
    """`n += await f()` loses updates between tasks."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules(*ALLOWED, "bench", "demo", "tests")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.AugAssign)
        and any(isinstance(inner, ast.Await) for inner in ast.walk(node.value))
    ]
    assert found == []


def possessive_groups(path: Path) -> list[str]:
    """Texts like `)*+`: Python before 3.11.5 matches them wrongly (gh-106052); right is `(?>(?:…)*)`."""
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {found[0]}"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str | bytes)
        and (found := POSSESSIVE.search(_text(node.value)))
    ]


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else re.sub("`.*?`", "", value)


def test_no_pattern_needs_a_newer_python() -> None:
    assert [text for path in modules(*ALLOWED) for text in possessive_groups(path)] == []


def carried(package: str, words: list[str], until: str = "") -> set[str]:
    """The modules that this command line loads until it logs that, or until its end."""
    start = f"from {package}.cli import app; app()"
    names = set()
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-c", start, *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("import time:"):
                names.add(line.rpartition("|")[2].strip())
            elif until and f'"{until}"' in line:
                names.add(until)
                break
        process.kill()
    return names


@pytest.fixture
def master(tmp_path: Path) -> Master:
    """One that could serve."""
    return Master(tmp_path).init()


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    """The agent.yaml of one that has joined; its master is away."""
    key, home = SigningKey.generate(), tmp_path / "data" / "lyon"
    home.mkdir(parents=True)
    key.save(home / enrolment.KEY_FILE)
    known = base64.b64encode(key.public).decode()
    joined = wire.Enrolled(
        v=1,
        agent="lyon",
        installation="acme",
        epoch=1,
        instance="one",
        term=1,
        master_key=known,
        nonce="n0",
        policy=POLICY,
        roster=wire.Roster(1, {}),
    )
    enrolment.save(home, Enrolment(("https://127.0.0.1:9",), ("sha256:0",), joined))
    sip = {
        "listen": [f"udp:127.0.0.1:{free_port()}"],
        "pbx": "udp:127.0.0.1:9",
        "advertise": "127.0.0.1:5060",
    }
    path = tmp_path / "agent.yaml"
    path.write_text(json.dumps({"data": "data", "pbxs": [{"name": "lyon", "software": 13, "sip": sip}]}))
    return path


def test_no_page_says_a_paragraph_twice() -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        text = page.read_text()
        for paragraph in text.split("\n\n"):
            if paragraph.startswith("**"):
                assert text.count(paragraph.strip()) == 1, f"{page}: {paragraph[:60]}"


def test_a_start_of_the_master_carries_nothing_that_agents_do_not_need(master: Master) -> None:
    found = carried("licence_master", ["serve", "--config", str(master.config)], "master.ready")
    assert "master.ready" in found
    assert found & HEAVY_FOR_DAEMONS == set()


def test_a_start_of_the_agent_carries_nothing_that_phones_do_not_need(agent: Path) -> None:
    found = carried("agent", ["run", "--config", str(agent)], "agent.ready")
    assert "agent.ready" in found
    assert found & (HEAVY_FOR_DAEMONS | {"agent.edges.kamailio.edge", "websockets"}) == set()


def test_a_question_to_a_daemon_carries_no_daemon(master: Master, agent: Path) -> None:
    asked = carried("licence_master", ["pools", "--config", str(master.config)])
    assert "licence_master.cli.client" in asked
    assert asked & HEAVY_FOR_COMMANDS == set()
    asked = carried("agent", ["status", "--config", str(agent)])
    assert "agent.edges.local_client" in asked
    assert asked & HEAVY_FOR_COMMANDS == set()


def test_the_checks_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rule above finds its own planted breach."""
    (tmp_path / "telephony").mkdir()
    (tmp_path / "telephony" / "bad.py").write_text("import time\nimport licensing.codes\nopen('x')\n")
    (tmp_path / "agent" / "store").mkdir(parents=True)
    (tmp_path / "agent" / "store" / "bad.py").write_text("from agent.service import seats\n")
    (tmp_path / "licensing" / "site").mkdir(parents=True)
    (tmp_path / "licensing" / "site" / "bad.py").write_text("from licensing.lender import claims\n")
    (tmp_path / "billing" / "core").mkdir(parents=True)
    (tmp_path / "billing" / "core" / "bad.py").write_text(
        "from datetime import date\nimport os\ndate.today()\n"
    )
    (tmp_path / "agent" / "bad.py").write_text('"""Not `(a)*+`."""\nA = rb"(?:a|b)*+"\nB = rb")?+c"\n')
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert possessive_groups(tmp_path / "agent" / "bad.py") == ["agent/bad.py:2: )*+", "agent/bad.py:3: )?+"]
    assert len(clocks(tmp_path / "billing" / "core" / "bad.py")) == 2
    assert len(masters_business("licensing/site")) == 1
    assert broken_directions("telephony") == ["telephony/bad.py:2: telephony must not import licensing.codes"]
    assert len(impurities(tmp_path / "telephony" / "bad.py")) == 2
    assert broken_layers("agent") == ["agent/store/bad.py:1: store must not import agent.service"]
