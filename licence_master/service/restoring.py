"""`restore`: a backup takes the place of a store, in recovery, and the operator hears what it waits for.

The restored store is another one than that which went on after the backup: it gets an `instance` of its own
and a higher term, and lends nothing new before it knows what every agent holds (protocol rule 3).
"""

import contextlib
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from licence_master.config import InstallationConfig
from licence_master.service.backups import stamp
from licence_master.service.installation import Surroundings
from licence_master.service.told.awaited import Awaited, awaited
from licence_master.store import activity, backup, credentials, home, ledger, snapshot
from licence_master.store.backup import Contents, NoBackupError, Progress
from licence_master.store.exchange import exchange, give_to_owner
from licence_master.store.ledger import ChainBrokenError, Entry, KeptAnswer
from licence_master.store.schema import MIGRATIONS
from licensing import administration
from licensing.files.stock_events import Converted, Transferred
from licensing.ledger import (
    Enrolled,
    Installed,
    Removed,
    Revoked,
    SiteConfirmed,
    SiteReleased,
    replay,
)
from licensing.lender.takeover_events import PbxFailed, PbxRecovered
from licensing.state import State
from licensing.terms.following import ACTOR
from licensing.terms.term_events import BY_HAND
from runtime.files import sync_directory
from runtime.signing import header_key_id
from runtime.store import locked, open_database

# What administrators did and nobody does again by himself: agents and the configuration tell the rest.
_BY_HAND = (
    *(Enrolled, Installed, Removed, Revoked, SiteConfirmed, SiteReleased),
    *(Converted, Transferred, PbxFailed, PbxRecovered),
    *BY_HAND,
)


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` did: `kept` is the store that was there, `lost` what it knew and the backup does not.

    `awaited` are the agents that the recovery waits for; `unconfigured` of them are not in the
    configuration, without which `serve` does not start; with `other_key` the agents will not believe it.
    `calls` is how many call records were put back; None: those that are there stay, or the backup has none.
    """

    store: Path
    entries: int
    last_ms: int
    instance: str
    term: int
    kept: Path | None
    awaited: tuple[Awaited, ...]
    lost: tuple[Entry, ...]
    unconfigured: tuple[str, ...]
    other_key: bool
    calls: int | None


class NotRestoredError(Exception):
    """Nothing was changed; the text says why, and what would be right."""


async def restore(
    config: InstallationConfig,
    around: Surroundings,
    file: Path,
    *,
    discard_newer: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Put a backup in the place of the store of an installation.

    NoBackupError for a file that is none; NotRestoredError when it is another installation's, or the store
    that is there knows more and `discard_newer` does not allow to lose that; StoreLockedError while
    a master serves it; OSError, sqlite3.Error from the disk. Then nothing has changed.
    """
    store = around.directory.make_installation(config.name)
    copy = store.with_name(f"{store.name}.restoring")
    with locked(store):
        backup.discard(copy)
        contents = backup.take(file, copy, progress)
        try:
            _refuse_foreign(contents, config.name, file)
            there = _there(store)
            lost = _lost(contents, there, discard_newer)
            state, waits, key_id = await _recovering(copy, contents, there, around.clock.wall_ms())
            calls = _calls_put_back(around.directory.calls(config.name), file, progress)
            kept = store.with_name(f"{store.name}.replaced-{stamp(around.clock.wall_ms())}")
            was_there = exchange(store, copy, kept)
        finally:
            backup.discard(copy)
            give_to_owner(around.directory.root, store)
    configured = {pbx.name for pbx in config.pbxs}
    return Restored(
        store=store,
        entries=len(contents.entries),
        last_ms=contents.entries[-1].at_ms,
        instance=state.instance,
        term=state.term,
        kept=kept if was_there else None,
        awaited=waits,
        lost=tuple(entry for entry in lost if isinstance(entry.event, _BY_HAND) and entry.actor != ACTOR),
        unconfigured=tuple(sorted(state.pbxs.keys() - configured)),
        other_key=key_id is not None and key_id != around.key.key_id,
        calls=calls,
    )


def _calls_put_back(index: Path, file: Path, progress: Progress | None) -> int | None:
    """Call records of the backup where there are none, or damaged ones: those that are there know more."""
    backed_up = backup.calls_beside(file)
    if not backed_up.exists() or _readable(index):
        return None
    copy = index.with_name(f"{index.name}.restoring")
    with locked(index):
        backup.discard(copy)
        rows = backup.take_calls(backed_up, copy, progress)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                damaged = index.with_name(index.name + suffix)
                damaged.rename(index.with_name(f"{index.name}.damaged{suffix}"))
        copy.rename(index)
        sync_directory(index.parent)
    give_to_owner(index.parent.parent.parent, index)
    return rows


def _readable(index: Path) -> bool:
    try:
        return index.exists() and backup.read_calls(index) >= 0
    except NoBackupError:
        return False


def _refuse_foreign(contents: Contents, name: str, file: Path) -> None:
    label = contents.label
    if label is not None and label.installation != name:
        raise NotRestoredError(
            f"{file} is a backup of installation {label.installation}, not of {name}; "
            f"write --installation {label.installation}"
        )


def _there(store: Path) -> list[Entry] | None:
    """The ledger that is there now; None where there is none, or none that can be read."""
    if not store.exists():
        return None
    try:
        return ledger.read_file(store)
    except (sqlite3.Error, ChainBrokenError):
        return None


def _lost(contents: Contents, there: list[Entry] | None, discard_newer: bool) -> Sequence[Entry]:
    """What the store that is there knows and the backup does not."""
    if not there:
        return ()
    common = sum(1 for ours, theirs in zip(contents.entries, there, strict=False) if ours.hash == theirs.hash)
    lost = there[common:]
    if lost and not discard_newer:
        what = f"{len(lost)} events that the backup has not" if common else "another history"
        raise NotRestoredError(
            f"the store that is there has {what}; to lose them write --discard-newer (its file is kept aside)"
        )
    return lost


async def _recovering(
    copy: Path, contents: Contents, there: list[Entry] | None, now_ms: int
) -> tuple[State, tuple[Awaited, ...], str | None]:
    """Make the copy a store in recovery; its state, whom it waits for, and whose key signed its answers."""
    entries = contents.entries
    state = replay(entry.event for entry in entries)
    highest = max((entry.term for entry in there or ()), default=0)
    change = administration.start_recovery(state, instance=secrets.token_hex(8), term=highest)
    rows = ledger.chain(change.events, state.position, entries[-1].hash, change.state.term, now_ms, "restore")
    database = await open_database(copy, MIGRATIONS)
    try:
        invites = await credentials.invites(database)
        await database.execute(backup.DROP_LABEL)
        forgotten = [credentials.drop_invites(list(invites)), home.FORGET, snapshot.FORGET]
        await database.write([*ledger.append(rows), *forgotten])
        seen = {each.agent: each.at_ms for each in await activity.seen(database)}
        answers = await ledger.answers(database)
        await database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it into the one file
    finally:
        await database.close()
    return change.state, awaited(change.state, seen), _signer(answers.values())


def _signer(answers: Iterable[KeptAnswer]) -> str | None:
    """The key that signed the stored answers; None where there are none."""
    return next((header_key_id(answer.signature) for answer in answers), None)
