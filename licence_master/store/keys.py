"""What `init` puts into a data directory: keys, certificate, first admin token, ballast."""

from pathlib import Path

from licence_master.store.directory import DataDirectory
from runtime.ballast import Ballast
from runtime.signing import SigningKey, write_new_file
from runtime.tls import make_certificate


class KeysLostError(Exception):
    """A store is there and a key that its agents trust is not; the text says what to do."""


def refuse_lost(directory: DataDirectory, *needed: Path) -> None:
    """KeysLostError where one of these files is not there although somebody has joined, or may have.

    A new key in its place would be one that no agent trusts.
    """
    stores = sorted(directory.root.glob("installations/*/ledger.db"))
    gone = [path for path in needed if not path.exists()]
    if gone and stores:
        raise KeysLostError(
            f"{gone[0]} is not there, but {stores[0]} is: put back your copy of {directory.keys}"
            " (see operations.md, Restore); agents trust no other key"
        )


def make_keys(directory: DataDirectory, host: str, admin_token: str) -> list[Path]:
    """Make what is missing; the files made."""
    directory.root.mkdir(mode=0o750, parents=True, exist_ok=True)
    directory.keys.mkdir(mode=0o700, exist_ok=True)
    made = []
    if not directory.signing_key.exists():
        SigningKey.generate().save(directory.signing_key)
        made.append(directory.signing_key)
    if not directory.certificate[0].exists():
        made += make_certificate(directory.keys, host)
    if not directory.admin_token.exists():
        write_new_file(directory.admin_token, f"{admin_token}\n".encode(), 0o600)
        made.append(directory.admin_token)
    ballast = Ballast(directory.ballast)
    if ballast.make():
        made.append(ballast.path)
    return made
