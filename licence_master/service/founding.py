"""`init`: keys, certificate and first token where there are none, and the store of an installation."""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path

from licence_master.address import host_and_port
from licence_master.catalogue import read_catalogue
from licence_master.config import InstallationConfig, MasterConfig
from licence_master.service.installation import Surroundings, open_installation
from licence_master.service.people.secret import new_secret
from licence_master.store.directory import DataDirectory
from licence_master.store.keys import make_keys, refuse_lost
from runtime.ballast import Ballast
from runtime.clock import SystemClock
from runtime.signing import SigningKey
from runtime.tls import pin_of_certificate


@dataclass(frozen=True, slots=True)
class Founded:
    """What `init` made; `store` None: it was there already."""

    files: tuple[Path, ...]
    store: Path | None


async def initialise(
    config: MasterConfig, installation: InstallationConfig, *, new_keys: bool = False
) -> Founded:
    """Make what is missing; a store made here may lend at once, one made by `serve` waits for hellos.

    KeysLostError where stores have outlived their keys, unless `new_keys` says that those are to be made.
    """
    directory = DataDirectory(config.data)
    if not new_keys:
        refuse_lost(directory, directory.signing_key, shown(config)[0])
    made = make_keys(directory, _own_host(config), new_secret().text)
    path = directory.ledger(installation.name)
    if path.exists():
        return Founded(tuple(made), None)
    store = await open_installation(installation.name, surroundings(config))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(store.run())
            await store.begin(installation, recovery=False)
            store.stop()
    finally:
        await store.close()
    return Founded(tuple(made), path)


def surroundings(config: MasterConfig) -> Surroundings:
    """What all installations share; KeyFileError when the signing key cannot be used."""
    directory = DataDirectory(config.data)
    key = SigningKey.load(directory.signing_key)
    sync_ms = config.agents.sync_s * 1_000
    return Surroundings(
        directory,
        key,
        read_catalogue(),
        SystemClock(),
        sync_ms,
        Ballast(directory.ballast),
        config.roots,
        config.published,
    )


def shown(config: MasterConfig) -> tuple[Path, Path]:
    """Certificate and key that the doors show."""
    return config.tls.pair or DataDirectory(config.data).certificate


@dataclass(frozen=True, slots=True)
class Joining:
    """What `invite` prints beside the token: where this master is, and the pin of the key shown there."""

    url: str
    pin: str


def joining(config: MasterConfig, port: int) -> Joining:
    """How agents find this master, which listens at `port`."""
    certificate = config.tls.certificate or DataDirectory(config.data).certificate[0]
    if config.agents.advertise is not None:
        port = host_and_port(config.agents.advertise)[1]
    host = _own_host(config)
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Joining(url, pin_of_certificate(certificate.read_bytes()))


def _own_host(config: MasterConfig) -> str:
    host = host_and_port(config.agents.advertise or config.agents.listen)[0]
    return socket.getfqdn() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
