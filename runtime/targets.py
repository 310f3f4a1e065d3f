"""Where pushed files go: a directory, or an HTTP endpoint."""

import asyncio
import errno
from pathlib import Path
from typing import Final

import httpx

from runtime.answers import detached
from runtime.files import replace_file
from runtime.push import Push, Target

TIMEOUT_S: Final = 30.0
TYPES: Final = {"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl"}


class DirectoryTarget:
    """Each file appears whole, under its name, or not at all."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def put(self, name: str, body: bytes) -> None:
        """Write and sync it; OSError."""
        await asyncio.to_thread(replace_file, self._directory / name, body)


class HttpTarget:
    """POST; any 2xx says that it is kept. `Idempotency-Key` is the name of the file."""

    def __init__(self, url: str, media_type: str) -> None:
        self._url = url
        self._media_type = media_type

    async def put(self, name: str, body: bytes) -> None:
        """Send it; OSError."""
        headers = {"Content-Type": self._media_type, "Idempotency-Key": name}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
                response = detached(await client.post(self._url, content=body, headers=headers))
        except httpx.HTTPError as error:
            raise OSError(errno.EIO, f"{self._url}: {str(error) or type(error).__name__}") from error
        if not response.is_success:
            raise OSError(errno.EIO, f"{self._url} answered {response.status_code}")


def target_of(push: Push) -> Target:
    """Where this configuration pushes to."""
    if push.directory is not None:
        return DirectoryTarget(push.directory)
    assert push.url is not None, "either directory or url"
    return HttpTarget(push.url, TYPES[push.format])
