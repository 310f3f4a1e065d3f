"""Commands that work on files: init, serve, check-config, doctor, audit verify."""

import asyncio
import importlib.util
import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from licence_master.catalogue import read_catalogue
from licence_master.cli.options import ConfigOption, InstallationOption
from licence_master.config import DEFAULT_PATH, InstallationConfig, MasterConfig
from licence_master.service.assignments import check
from licence_master.service.founding import initialise, shown
from licence_master.store import ledger, snapshot
from licence_master.store.directory import DataDirectory
from licence_master.store.keys import KeysLostError, refuse_lost
from licence_master.store.snapshot import SnapshotError
from runtime import daemon, logs
from runtime.certificates import CertificateFileError, Identity, server_context
from runtime.cli import Exit, JsonFlag, fail, is_there, load_or_fail, print_json
from runtime.config import ConfigErrors
from runtime.signing import KeyFileError, SigningKey
from runtime.store import StoreError

OF_THE_MASTER = ("fastapi", "prometheus_client", "httptools")

NewKeys = Annotated[
    bool, typer.Option("--new-keys", help="Make lost keys anew: every agent must join again.")
]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def init(
    config: ConfigOption = DEFAULT_PATH,
    installation: InstallationOption = None,
    new_keys: NewKeys = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the keys (where there are none) and the store of an installation.

    Where stores are there and their keys are not, put back your copy of keys/. Without one: --new-keys.

    Example: licence-master init --installation acme
    """
    logs.configure("warning")
    settings = load_or_fail(config, MasterConfig)
    chosen = pick(settings, installation)
    _check_assignments(settings)
    try:
        founded = asyncio.run(initialise(settings, chosen, new_keys=new_keys))
    except KeysLostError as error:
        fail(Exit.REFUSED, f"{error}; without a copy write --new-keys, and let every agent join again")
    except (OSError, StoreError, KeyFileError) as error:
        fail(Exit.REFUSED, str(error))
    directory = DataDirectory(settings.data)
    if as_json:
        files = [str(path) for path in founded.files]
        store = str(founded.store) if founded.store else None
        print_json({"made": files, "store": store, "admin_token_file": str(directory.admin_token)})
        return
    for path in founded.files:
        typer.echo(f"made {path}")
    if founded.store is None:
        typer.echo(f"{chosen.name}: the store is there already; nothing was changed")
        return
    typer.echo(f"made {founded.store}")
    if directory.signing_key in founded.files:
        typer.echo(
            f"\nCopy {directory.keys} to a safe place now; without master.key every agent must join again."
        )
    typer.echo("\nNext: licence-master serve, then licence-master invite --pbx NAME for each PBX.")


def serve(config: ConfigOption = DEFAULT_PATH, log_level: LogLevel = "info") -> None:
    """Run the licence master until SIGTERM; SIGHUP reads PBXs and policies again.

    Example: licence-master serve --config /etc/licence-master/master.yaml
    """
    daemon.hasten()
    logs.configure(log_level)
    settings = load_or_fail(config, MasterConfig, files=True)
    directory = DataDirectory(settings.data)
    _check_keys(directory, shown(settings))
    missing = [name for name in OF_THE_MASTER if importlib.util.find_spec(name) is None]
    if missing:
        fail(Exit.USAGE, f"{missing[0]} is not installed; install this program as pbx-licences[master]")
    from licence_master.main import Main  # only here: no other command needs the daemon

    _check_assignments(settings)
    main = Main(settings, config)
    try:
        daemon.run(main.run, reload=main.reload)
    except SystemExit:
        if main.damaged:
            raise typer.Exit(Exit.BAD_DATA) from None
        raise


def _check_keys(directory: DataDirectory, pair: tuple[Path, Path]) -> None:
    """Leave with what is wrong with the signing key, or with certificate and key of the doors."""
    needed = (directory.signing_key, *pair)
    gone = [path for path in needed if not is_there(path, Exit.USAGE, "run it as root or as its owner")]
    try:
        refuse_lost(directory, *needed)
        if gone:
            fail(Exit.USAGE, f"{gone[0]} is not there; run licence-master init first")
        SigningKey.load(directory.signing_key)
        server_context(Identity(*pair))
    except (KeysLostError, KeyFileError, CertificateFileError) as error:
        fail(Exit.USAGE, str(error))
    except OSError as error:
        fail(Exit.USAGE, f"{error.filename}: {error.strerror}")


def check_config(config: ConfigOption = DEFAULT_PATH, as_json: JsonFlag = False) -> None:
    """Check the configuration file; all errors at once.

    Example: licence-master check-config --config master.yaml
    """
    settings = load_or_fail(config, MasterConfig, files=True)
    _check_assignments(settings)
    pbxs = sum(len(each.pbxs) for each in settings.installations)
    if as_json:
        print_json({"ok": True, "installations": len(settings.installations), "pbxs": pbxs})
    else:
        typer.echo(f"{config}: fine; {len(settings.installations)} installation(s), {pbxs} PBX(s)")


def _check_assignments(settings: MasterConfig) -> None:
    """Leave with the errors of the files of assignments that the configuration names."""
    named = [each for each in settings.installations if each.assignments is not None]
    catalogue = read_catalogue() if named else None
    try:
        for each in named:
            assert catalogue is not None, "read above"
            check(each, catalogue)
    except ConfigErrors as errors:
        fail(Exit.USAGE, errors.report("nothing was started"))


def verify(
    config: ConfigOption = DEFAULT_PATH,
    installation: InstallationOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Check the hash chain of the ledger from its first row, and the snapshot that a start begins from.

    Names the first row that was changed or is missing.

    Example: licence-master audit verify --installation acme
    """
    settings = load_or_fail(config, MasterConfig)
    path = DataDirectory(settings.data).ledger(pick(settings, installation).name)
    try:
        entries = ledger.read_file(path)
        snapshot.audit(path, entries)
    except (ledger.ChainBrokenError, SnapshotError) as error:
        seq = error.seq if isinstance(error, ledger.ChainBrokenError) else None
        if as_json:
            print_json({"ok": False, "seq": seq, "error": str(error)})
            raise typer.Exit(Exit.REFUSED) from error
        fail(Exit.REFUSED, f"{path}: {error}")
    except sqlite3.Error as error:
        fail(Exit.BAD_DATA, f"{path}: {error}")
    if as_json:
        print_json({"ok": True, "events": len(entries)})
    else:
        typer.echo(f"{path}: {len(entries)} events, unbroken")


def pick(config: MasterConfig, name: str | None) -> InstallationConfig:
    """The installation that was named, or the only one."""
    names = ", ".join(each.name for each in config.installations)
    if name is None and len(config.installations) == 1:
        return config.installations[0]
    if name is None:
        fail(Exit.USAGE, f"--installation NAME is needed; there are {names}")
    found = config.installation(name)
    if found is None:
        fail(Exit.USAGE, f'there is no installation "{name}" in the configuration; there are {names}')
    return found
