"""The commands' way to the running agent: one question over `agent.sock`."""

from pathlib import Path
from typing import Any

import httpx

SOCKET_NAME = "agent.sock"
TIMEOUT_S = 15.0


class NotRunningError(Exception):
    """Nobody answers at the socket; the message says what to do."""


class RefusedError(Exception):
    """The agent understood and said no; the message is its reason."""


def ask(data: Path, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """GET (no body) or POST at the agent of this data directory; NotRunningError, RefusedError."""
    socket = data / SOCKET_NAME
    transport = httpx.HTTPTransport(uds=str(socket))
    try:
        with httpx.Client(transport=transport, base_url="http://agent", timeout=TIMEOUT_S) as client:
            response = client.get(path) if body is None else client.post(path, json=body)
    except PermissionError as error:
        raise NotRunningError(f"{socket}: {error}; ask as root or as a member of its group") from error
    except httpx.HTTPError as error:
        raise NotRunningError(f"{socket}: {error}; is `pbx-agent run` running?") from error
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        raise RefusedError(str(answer.get("detail", f"status {response.status_code}")))
    return answer
