"""The file of a store is exchanged for another: at every moment there is the old one, the new one or none."""

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from runtime.files import sync_directory

_BESIDE = ("-wal", "-shm")


def exchange(store: Path, new: Path, kept: Path) -> bool:
    """Put the closed store `new` in the place of `store`, which stays as `kept`; False: there was none.

    Needs the lock of `store`. A kill leaves the old store or the new one; of a damaged store perhaps none,
    then `kept` has it.
    """
    there = store.exists()
    if there:
        _settle(store)
        _link(store, kept)
        for suffix in _BESIDE:  # a log of another store beside the new file would be read into it
            beside = store.with_name(store.name + suffix)
            if beside.exists():
                _link(beside, kept.with_name(kept.name + suffix))
                beside.unlink()
        sync_directory(store.parent)
    new.replace(store)
    sync_directory(store.parent)
    return there


def give_to_owner(root: Path, path: Path) -> None:
    """What root has made below `root` belongs to whom `root` belongs, or the service could not open it."""
    if os.geteuid() != 0:
        return
    owner = root.stat()
    made = [path, *path.parent.glob(f"{path.name}.*"), *path.parents]
    for each in made:
        if each != root and each.is_relative_to(root) and each.stat().st_uid == 0:
            os.chown(each, owner.st_uid, owner.st_gid)


def _settle(store: Path) -> None:
    """What is in the log of the old store goes into its file, so that the file alone is the store."""
    with contextlib.suppress(sqlite3.Error), closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _link(path: Path, name: Path) -> None:
    """A second name for the file: the first one is never missing."""
    with contextlib.suppress(FileNotFoundError):  # kept in this very second by a restore that was killed
        name.unlink()
    os.link(path, name)
