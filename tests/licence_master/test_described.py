"""What /openapi.json says is what the running master does: schemathesis asks each operation.

50 examples each, and 20 with names that are mostly unknown; 5,000 and 500 with CHAOS=1. A failure prints a
curl line for each case, and the seed: SEED=… before the command replays them.
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from tests.licence_master.conftest import stock
from tests.licence_master.master import Master

LONG = bool(os.environ.get("CHAOS"))
EXAMPLES = 5_000 if LONG else 50
FEWER = 500 if LONG else 20
SEED = os.environ.get("SEED") or (str(secrets.randbits(32)) if LONG else "1")
NO_LIMITS = ", address_per_s: 1000000, caller_per_s: 1000000"
# No schema can say what is a licence type, or an inventory, inside a text: only of that a refusal is right.
LEFT_OUT = "positive_data_acceptance"
KNOWN = '[parameters]\ninstallation = "acme"\npbx = "lyon"\n"path.name" = "anna"\n'
# It remembers the names that it was told and uses them again: things that are not there are asked for apart.
ABSENT = '[parameters]\ninstallation = "acme"\npbx = "gone"\n"path.name" = "gone"\nid = "gone"\n'
THINGS = r"--include-path-regex=\{(pbx|name|id)\}"


@pytest.mark.timeout(14_400 if LONG else 300)
@pytest.mark.parametrize(
    ("parameters", "examples", "only"),
    [("", FEWER, ()), (KNOWN, EXAMPLES, ()), (ABSENT, FEWER, (THINGS,))],
    ids=["any-name", "names-that-exist", "things-that-do-not"],
)
def test_every_operation_keeps_to_its_description(
    tmp_path: Path, parameters: str, examples: int, only: tuple[str, ...]
) -> None:
    with Master(tmp_path, admin=NO_LIMITS).init().start() as master:
        stock(master, "PBX-Port13,10")
        (tmp_path / "schemathesis.toml").write_text(parameters)
        command = [str(Path(sys.executable).with_name("st")), "--config-file", "schemathesis.toml", "run"]
        command += [f"{master.admin_url}/openapi.json", "--tls-verify=false", "--checks=all"]
        command += ["--header", f"Authorization: Bearer {master.admin_token}", f"--exclude-checks={LEFT_OUT}"]
        command += [
            "--phases=examples,coverage,fuzzing",
            f"--max-examples={examples}",
            f"--seed={SEED}",
            *only,
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"seed {SEED}\n{done.stdout[-8_000:]}{done.stderr[-2_000:]}"
        asked = sum(1 for path in operations(master) if not only or re.search(r"{(pbx|name|id)}", path))
        assert f"{asked - (not only)} selected" in done.stdout, "all but the document itself"
        assert [line for line in master.lines if line["level"] in ("error", "critical")] == []


def operations(master: Master) -> list[str]:
    with master.api() as api:
        paths = api.get("http://master/openapi.json").json()["paths"]
    return [f"{method} {path}" for path, methods in paths.items() for method in methods]
