"""The data directory: where keys, sockets and stores lie."""

from dataclasses import dataclass
from pathlib import Path

from runtime.credentials import credential


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
    def ballast(self) -> Path:
        """A file to free when the disk is full, so that releases still work."""
        return self.root / "ballast"

    def ledger(self, installation: str) -> Path:
        """The store of one installation: ledger and activity."""
        return self.root / "installations" / installation / "ledger.db"

    def calls(self, installation: str) -> Path:
        """The key index of its call records, which is the truth of them."""
        return self.ledger(installation).with_name("calls.db")

    def call_archive(self, installation: str) -> Path:
        """The same records as Parquet, derived."""
        return self.ledger(installation).with_name("calls")

    def make_installation(self, name: str) -> Path:
        """The directory of an installation's store; the path of the store, which may not exist yet."""
        path = self.ledger(name)
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return path
