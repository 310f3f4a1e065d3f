"""TLS by certificate files: contexts for a server and a client, and what is wrong with a file, in words.

Certificates are PEM; a chain stands in one file, the host's own first. Keys are PEM without a passphrase.
"""

import datetime
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


class CertificateFileError(Exception):
    """A file that cannot be used; `file` is its path, the text goes on after it."""

    def __init__(self, file: Path, trouble: str) -> None:
        super().__init__(f"{file} {trouble}")
        self.file = file


@dataclass(frozen=True, slots=True)
class Identity:
    """What a host shows to its peers: its certificate (chain) and the key of it."""

    certificate: Path
    key: Path


def server_context(identity: Identity, client_authorities: Sequence[Path] = ()) -> ssl.SSLContext:
    """A context to accept connections with; with authorities every client must show their certificate.

    CertificateFileError when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _show(context, identity)
    for authority in client_authorities:
        _trust(context, authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(authority: Path | None, identity: Identity | None = None) -> ssl.SSLContext:
    """A context that checks the server's certificate and name, by this authority or by those of the system.

    `identity` is shown when the server asks for it. CertificateFileError when a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks name and certificate
    _harden(context)
    if identity is not None:
        _show(context, identity)
    if authority is not None:
        _trust(context, authority)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def days_left(certificate: Path, now: datetime.datetime) -> int:
    """Whole days until the host's own certificate expires, negative after; CertificateFileError."""
    return (_certificates(certificate)[0].not_valid_after_utc - now).days


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION


def _show(context: ssl.SSLContext, identity: Identity) -> None:
    shown, key_file = _certificates(identity.certificate)[0], identity.key
    try:
        key = load_pem_private_key(_read(key_file), None)
    except TypeError as error:
        raise CertificateFileError(key_file, "is locked by a passphrase; write it without one") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateFileError(key_file, "holds no private key in PEM form") from error
    if _public(key.public_key()) != _public(shown.public_key()):
        raise CertificateFileError(key_file, f"is not the key of {identity.certificate}")
    try:
        context.load_cert_chain(identity.certificate, key_file)
    except ssl.SSLError as error:  # such as a key too short to be safe
        reason = (error.reason or str(error)).replace("_", " ").lower()
        raise CertificateFileError(identity.certificate, f"cannot be used: {reason}") from error


def _trust(context: ssl.SSLContext, authority: Path) -> None:
    _certificates(authority)
    context.load_verify_locations(authority)


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(file))
    except ValueError as error:
        raise CertificateFileError(file, "holds no certificate in PEM form") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CertificateFileError(file, f"cannot be read: {error.strerror}") from error


def _public(key: object) -> bytes:
    spki: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return spki
