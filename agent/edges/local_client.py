"""The commands' way to the running agent: one question over `agent.sock`."""

import http.client
import json
from pathlib import Path
from typing import Any

from runtime.unix_http import UnixConnection

SOCKET_NAME = "agent.sock"
TIMEOUT_S = 15.0
MAX_BYPASS_S = 7 * 86_400


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
    place = data / SOCKET_NAME
    connection = UnixConnection(place, timeout_s)
    try:
        if body is None:
            connection.request("GET", path)
        else:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
    except PermissionError as error:
        raise NotAllowedError(f"{place}: {error}; ask as root or as a member of its group") from error
    except (OSError, http.client.HTTPException) as error:
        raise NotRunningError(f"{place}: {error}; is `pbx-agent run` running?") from error
    finally:
        connection.close()
    if response.status != 200:
        raise RefusedError(str(answer.get("detail", f"status {response.status}")), answer)
    return answer
