"""What agent.yaml says of connections: how many there may be, how long one may be silent, and their TLS."""

from typing import Annotated

from pydantic import Field, ValidationInfo, model_validator

from runtime.config import ConfigModel, ConfigPath, FieldError, checks_files
from runtime.credentials import out_of_reach

Seconds = Annotated[int, Field(ge=1, le=7 * 86_400)]


class ConnectionLimits(ConfigModel):
    """The limits of the stream listeners of one PBX together; every one is on by default.

    A source is an IPv4 address or an IPv6 /64; it may open `per_source` at once, then `new_per_s` a second.
    `idle_s` is longer than the 120 s after which a phone says that it is there (RFC 5626 4.4.1).
    """

    total: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    per_source: Annotated[int, Field(ge=1, le=100_000)] = 500
    new_per_s: Annotated[int, Field(ge=1, le=100_000)] = 20
    handshake_s: Seconds = 10
    message_s: Seconds = 10
    idle_s: Seconds = 180
    registered_idle_s: Seconds = 4 * 3_600
    unread_kib: Annotated[int, Field(ge=64, le=65_536)] = 256


class TlsFiles(ConfigModel):
    """Certificates and keys by file, PEM: our own for phones and PBX, and whom we believe.

    A file is a path or `credential:NAME`, which only the service itself can look into.

    Without `phones_ca` phones show no certificate; without `pbx_ca` the PBX's must be of an authority that
    the system trusts, and its name is `pbx_name`, else its address.
    """

    certificate: ConfigPath
    key: ConfigPath
    phones_ca: ConfigPath | None = None
    pbx_ca: ConfigPath | None = None
    pbx_name: Annotated[str, Field(min_length=1, max_length=253)] | None = None

    @model_validator(mode="after")
    def _usable(self, info: ValidationInfo) -> "TlsFiles":
        files = (self.certificate, self.key, self.phones_ca, self.pbx_ca)
        if checks_files(info) and not any(out_of_reach(file) for file in files if file):
            from runtime import certificates  # only for who looks

            try:
                identity = certificates.Identity(self.certificate, self.key)
                certificates.server_context(identity, [self.phones_ca] if self.phones_ca else [])
                certificates.client_context(self.pbx_ca)
            except certificates.CertificateFileError as error:
                names = {getattr(self, name): name for name in ("pbx_ca", "phones_ca", "key", "certificate")}
                raise FieldError(str(error), names[error.file]) from error
        return self
