"""What the services need of the way to the master: send exact bytes, get a verified answer or none."""

from typing import Protocol

from licensing.codes import Code
from licensing.site.share import Reply

ENROL = "/v1/agent/enrol"
WAKE = "/v1/agent/wake"
CDRS = "/v1/agent/cdrs"


class NoAnswerError(Exception):
    """No answer that counts: unreachable, a wrong pin, or a signature that does not fit."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Link(Protocol):
    """The way to one master; several addresses are paths to the same one."""

    @property
    def url(self) -> str:
        """The address that answered last, or the first one."""
        ...

    async def post(self, path: str, body: bytes) -> Reply:
        """Send a signed request; raises NoAnswerError."""
        ...

    async def wake(self) -> bool:
        """Wait until the master wants a sync (True) or the long poll ends (False); raises NoAnswerError."""
        ...
