"""Files that are there whole or not at all, also after a power cut."""

import contextlib
import os
from pathlib import Path


def replace_file(path: Path, body: bytes) -> None:
    """Replace a file atomically and durably; mode 0600, OSError."""
    fresh = path.with_suffix(path.suffix + ".new")
    with contextlib.suppress(FileNotFoundError):
        fresh.unlink()
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new files in a directory durable; OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
