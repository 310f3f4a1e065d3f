"""`backup`, a client of the running master, and `restore`, which works on files."""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from licence_master.cli.asking import ago, when
from licence_master.cli.client import Api, remote
from licence_master.cli.files import pick
from licence_master.cli.options import ConfigOption, InstallationOption
from licence_master.cli.receiving import arriving, bar, new_file
from licence_master.config import DEFAULT_PATH, MasterConfig
from licence_master.service import restoring
from licence_master.service.backups import Store
from licence_master.service.founding import surroundings
from licence_master.service.restoring import NotRestoredError, Restored
from licence_master.service.writer import event_name, facts_of
from licence_master.store.backup import NoBackupError, calls_beside, read_calls
from licence_master.store.backup import read as read_backup
from licence_master.store.directory import DataDirectory
from licensing.ledger import AnyEvent
from runtime import logs
from runtime.cli import Exit, JsonFlag, fail, is_there, load_or_fail, print_json, table
from runtime.signing import KeyFileError
from runtime.store import StoreError

Target = Annotated[
    str, typer.Argument(metavar="[FILE or DIRECTORY]", help="A new file, or a directory that is there.")
]
Source = Annotated[Path, typer.Argument(metavar="FILE", help="What licence-master backup wrote.")]
DiscardNewer = Annotated[
    bool, typer.Option("--discard-newer", help="The store that is there knows more: lose that.")
]

Checked = TypeVar("Checked")

NOT_IN_IT = "Not in it: keys/ and master.yaml. Keep copies of both, or every agent must join again."


@remote
def backup(api: Api, target: Target = ".") -> None:
    """Write the stores of an installation into two files while the master runs; checked before it is done.

    In a directory they get a name with the time; the call records lie beside it as ….calls.db. They hold who
    registered and called when: keep them private (mode 0600).

    Example: licence-master backup /srv/backups/
    """
    place = Path(target)
    there = is_there(place, Exit.REFUSED, "name a place where you may write")
    if not there and target.endswith("/"):
        fail(Exit.USAGE, f"{target} is not there; make the directory first, or name a file")
    try:
        path, contents = _received(api, place, "ledger", read_backup)
        calls, records = _received(api, calls_beside(path), "calls", read_calls)
    except FileExistsError as error:
        fail(Exit.USAGE, f"{error.filename or target} is there already; name another file, or a directory")
    except OSError as error:
        fail(Exit.REFUSED, f"{error.filename or target}: {error.strerror}")
    except NoBackupError as error:
        fail(Exit.BAD_DATA, f"what arrived is no sound backup, and was removed: {error}")
    last = contents.entries[-1]
    size, events = path.stat().st_size, len(contents.entries)
    facts = {"file": str(path), "bytes": size, "events": events, "last_ms": last.at_ms, "term": last.term}
    if api.show({**facts, "holds_keys": False, "calls_file": str(calls), "calls": records}):
        return
    typer.echo(f"{path}: {size:,} bytes, {events:,} events, unbroken, the last of {when(last.at_ms)}")
    typer.echo(f"{calls}: {calls.stat().st_size:,} bytes, {records:,} call records")
    typer.echo(NOT_IN_IT)


def restore(
    file: Source,
    discard_newer: DiscardNewer = False,
    config: ConfigOption = DEFAULT_PATH,
    installation: InstallationOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Put a backup in the place of an installation's store; the master must not run.

    The store that was there is kept beside it. Call records that lie beside the backup are put back where
    there are none; those that are there stay, for they know more. The restored store lends nothing new before
    every agent has answered or was released; the table says which, and how.

    Example: licence-master restore /srv/backups/acme-2026-11-24T183000Z.db --installation acme
    """
    logs.configure("warning")
    settings = load_or_fail(config, MasterConfig)
    chosen = pick(settings, installation)
    key = DataDirectory(settings.data).signing_key
    if not is_there(key, Exit.USAGE, "run it as root or as its owner"):
        fail(Exit.USAGE, f"{key} is not there; put the copy of keys/ back first: agents trust no other key")
    try:
        with bar("checking and copying") as advance:
            done = asyncio.run(
                restoring.restore(
                    chosen, surroundings(settings), file, discard_newer=discard_newer, progress=advance
                )
            )
    except NoBackupError as error:
        fail(Exit.BAD_DATA, f"{error}; nothing was changed")
    except FileNotFoundError as error:
        fail(Exit.USAGE, f"{error.filename}: {error.strerror}; nothing was changed")
    except (NotRestoredError, StoreError, KeyFileError, OSError, sqlite3.Error) as error:
        fail(Exit.REFUSED, f"{error}; nothing was changed")
    if as_json:
        print_json(_facts(done))
    else:
        _tell(done, chosen.name)


def _received(api: Api, target: Path, store: Store, check: Callable[[Path], Checked]) -> tuple[Path, Checked]:
    """The file that the master sent, checked, durable and under its name."""
    with api.stream("POST", "/backup", store=store) as coming:
        path = target / coming.name if target.is_dir() else target
        with arriving(path) as partial:
            with new_file(partial) as file, bar(f"backup of {api.installation}, {store}") as advance:
                for done, chunk in coming.chunks():
                    file.write(chunk)
                    advance(done, coming.size)
            found = check(partial)
    return path, found


def _facts(done: Restored) -> dict[str, object]:
    lost = [
        {"seq": e.seq, "at_ms": e.at_ms, "actor": e.actor, "event": event_name(e.event)} for e in done.lost
    ]
    return {
        "store": str(done.store),
        "events": done.entries,
        "last_ms": done.last_ms,
        "instance": done.instance,
        "term": done.term,
        "kept": str(done.kept) if done.kept else None,
        "awaited": [asdict(each) for each in done.awaited],
        "lost": lost,
        "unconfigured": list(done.unconfigured),
        "other_key": done.other_key,
        "calls": done.calls,
    }


def _tell(done: Restored, name: str) -> None:
    typer.echo(
        f"{name}: restored with {done.entries:,} events, the last of {when(done.last_ms)};"
        f" now instance {done.instance}, term {done.term}."
    )
    if done.kept is not None:
        typer.echo(f"The store that was there is kept as {done.kept}; delete it when all is well.")
    if done.calls is not None:
        typer.echo(f"{done.calls:,} call records were put back; their archive is made anew by serve.")
    _tell_troubles(done)
    if done.lost:
        typer.echo("\nDone after the backup, so not in it. Do again what still holds:")
        rows = [(e.seq, when(e.at_ms), e.actor, event_name(e.event), _short(e.event)) for e in done.lost]
        table(rows, ("SEQ", "WHEN", "ACTOR", "EVENT", "FACTS"))
    typer.echo(
        "\nIn recovery: nothing new is lent before each of these has answered. Phones go on in their shares."
    )
    shown = [
        (
            each.pbx,
            ", ".join(f"{units} {class_}" for class_, units in each.share.items()) or "nothing",
            ago(each.last_sync_ms) if each.joined else "not joined",
            each.command,
        )
        for each in done.awaited
    ]
    table(shown, ("PBX", "SHARE IN THE BACKUP", "LAST SYNC", "IF IT NEVER COMES BACK"))
    typer.echo("\nNext: licence-master serve. See licence-master agents for who is still awaited.")


def _tell_troubles(done: Restored) -> None:
    if done.other_key:
        typer.echo(
            "warning: keys/master.key is not the key that signed for these agents; put the right one back,"
            " or every agent must join again",
            err=True,
        )
    if done.unconfigured:
        names = ", ".join(done.unconfigured)
        typer.echo(
            f"warning: not in the configuration: {names}. Put them back for as long as the recovery waits"
            " for them, or serve does not start",
            err=True,
        )


def _short(event: AnyEvent) -> str:
    facts = facts_of(event)
    facts.pop("public_key", None)
    return " ".join(f"{key}={msgspec.json.encode(value).decode()[:80]}" for key, value in facts.items())
