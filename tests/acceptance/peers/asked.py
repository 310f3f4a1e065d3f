"""Our own programs, asked as their users ask them: at a Unix socket, or by a command."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.peers.typed import ended

PATIENCE_S = 20.0  # ready comes before the admin API: on busy cores with a faked clock over 5 s


def ask(uds: Path, path: str) -> Any:
    """GET through a Unix socket of one of our programs."""
    with _local(uds) as client:
        return _answered(client.get(path))


def order(uds: Path, path: str, body: Mapping[str, Any]) -> Any:
    """POST through it."""
    with _local(uds) as client:
        return _answered(client.post(path, json=body))


def _local(uds: Path) -> httpx.Client:
    # Tests ask a hundred times a second; loading a store of CAs for that, unused, would cost 40 ms each time.
    transport = httpx.HTTPTransport(uds=str(uds), verify=False)
    return httpx.Client(transport=transport, base_url="http://local", timeout=PATIENCE_S)


def _answered(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def run(command: str, *words: str) -> str:
    """Run one of our commands to its end; what it printed. CalledProcessError shows what went wrong."""
    done = ended([command, *words])
    assert done.returncode == 0, f"{command} {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
