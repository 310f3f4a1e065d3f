"""What `init` puts into a data directory: keys, certificate, first admin token, ballast."""

from pathlib import Path

from licence_master.store.directory import DataDirectory
from runtime.ballast import Ballast
from runtime.signing import SigningKey, write_new_file
from runtime.tls import make_certificate


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
