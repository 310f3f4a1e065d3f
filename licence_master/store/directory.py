"""The data directory: where keys, sockets and stores lie, and what `init` puts there."""

from dataclasses import dataclass
from pathlib import Path

from runtime.ballast import Ballast
from runtime.credentials import credential
from runtime.signing import SigningKey, write_new_file
from runtime.tls import make_certificate


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """Paths under `data` (contract "Data directory").

    A key that systemd hands to the service as a credential of the same name comes before the file in keys/.
    """

    root: Path

    @property
    def keys(self) -> Path:
        """What a backup of the store does not hold: keep a copy apart."""
        return self.root / "keys"

    @property
    def signing_key(self) -> Path:
        """Signs every answer; agents trust nothing else."""
        return credential("master.key") or self.keys / "master.key"

    @property
    def admin_token(self) -> Path:
        """The first admin token, for all installations; whoever reads this file is admin."""
        return credential("admin.token") or self.keys / "admin.token"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Certificate and key that `init` made."""
        certificate = credential("tls.crt") or self.keys / "tls.crt"
        return certificate, credential("tls.key") or self.keys / "tls.key"

    @property
    def admin_socket(self) -> Path:
        """Whoever may open it is admin."""
        return self.root / "admin.sock"

    @property
    def ballast(self) -> Ballast:
        """A file to free when the disk is full, so that releases still work."""
        return Ballast(self.root / "ballast")

    def ledger(self, installation: str) -> Path:
        """The store of one installation: ledger and activity."""
        return self.root / "installations" / installation / "ledger.db"

    def calls(self, installation: str) -> Path:
        """The key index of its call records, which is the truth of them."""
        return self.ledger(installation).with_name("calls.db")

    def call_archive(self, installation: str) -> Path:
        """The same records as Parquet, derived."""
        return self.ledger(installation).with_name("calls")

    def make(self, host: str, admin_token: str) -> list[Path]:
        """Make what is missing of keys, certificate, first admin token and ballast; the files made."""
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.keys.mkdir(mode=0o700, exist_ok=True)
        made = []
        if not self.signing_key.exists():
            SigningKey.generate().save(self.signing_key)
            made.append(self.signing_key)
        if not self.certificate[0].exists():
            made += make_certificate(self.keys, host)
        if not self.admin_token.exists():
            write_new_file(self.admin_token, f"{admin_token}\n".encode(), 0o600)
            made.append(self.admin_token)
        if self.ballast.make():
            made.append(self.ballast.path)
        return made

    def make_installation(self, name: str) -> Path:
        """The directory of an installation's store; the path of the store, which may not exist yet."""
        path = self.ledger(name)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return path
