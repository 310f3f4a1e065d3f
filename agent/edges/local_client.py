"""The commands' way to the running agent: one question over `agent.sock`."""

from pathlib import Path
from typing import Any

import httpx

SOCKET_NAME = "agent.sock"
TIMEOUT_S = 15.0


class NotRunningError(Exception):
    """Nobody answers at the socket; the message says what to do."""


class NotAllowedError(NotRunningError):
    """Somebody may well answer, but not to us."""


class RefusedError(Exception):
    """The agent understood and said no; the message is its reason, `answer` all that it said."""

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


def ask(
    data: Path, path: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """GET (no body) or POST at the agent of this data directory; NotRunningError, RefusedError."""
    socket = data / SOCKET_NAME
    transport = httpx.HTTPTransport(uds=str(socket), verify=False)  # no TLS here: no store of CAs to load
    try:
        with httpx.Client(transport=transport, base_url="http://agent", timeout=timeout_s) as client:
            response = client.get(path) if body is None else client.post(path, json=body)
    except httpx.HTTPError as error:
        if _forbidden(error):
            raise NotAllowedError(f"{socket}: {error}; ask as root or as a member of its group") from error
        raise NotRunningError(f"{socket}: {error}; is `pbx-agent run` running?") from error
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        raise RefusedError(str(answer.get("detail", f"status {response.status_code}")), answer)
    return answer


def _forbidden(error: BaseException | None) -> bool:
    """Whether a missing permission is at the bottom of it: httpx wraps the errors of the system."""
    while error is not None:
        if isinstance(error, PermissionError):
            return True
        error = error.__cause__ or error.__context__
    return False
