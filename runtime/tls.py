"""TLS by pinned key: the server is known by its public key; its name and the dates are not looked at.

Source: protocol.md "TLS". The pin is `sha256:` and the hex SHA-256 of the DER SubjectPublicKeyInfo.
"""

import datetime
import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

from runtime.signing import write_new_file

LIFETIME = datetime.timedelta(days=3_650)  # for people who look; nobody who pins the key checks it


class PinMismatchError(ssl.SSLError):
    """The server's key is not one of the pinned keys; nothing was sent to it."""

    def __str__(self) -> str:
        return " ".join(map(str, self.args))  # an SSLError without a number shows a tuple


def make_certificate(directory: Path, name: str) -> tuple[Path, Path]:
    """Write tls.crt (0644) and tls.key (0600): ECDSA P-256, self-signed; the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_path, certificate_path = directory / "tls.key", directory / "tls.crt"
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_new_file(key_path, pem, 0o600)
    write_new_file(certificate_path, certificate.public_bytes(Encoding.PEM), 0o644)
    return certificate_path, key_path


def pin_of_certificate(pem: bytes) -> str:
    """The pin of the first certificate in this PEM text; ValueError when there is none."""
    return _pin(x509.load_pem_x509_certificate(pem))


def pinned_context(pins: Sequence[str]) -> ssl.SSLContext:
    """A client context that accepts a server by these pins alone, for asyncio and httpx.

    The handshake ends in PinMismatchError before the first byte of a request; ValueError without pins.
    """
    allowed = frozenset(pin.lower() for pin in pins)
    if not allowed:
        raise ValueError("a pinned context needs at least one pin")

    class PinnedObject(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            _check(self.getpeercert(binary_form=True), allowed)

    class PinnedSocket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            super().do_handshake(block)
            _check(self.getpeercert(binary_form=True), allowed)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the pin is the whole check, see the class above
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslobject_class = PinnedObject
    context.sslsocket_class = PinnedSocket
    return context


def pin_mismatch(error: BaseException) -> PinMismatchError | None:
    """The pin mismatch that an HTTP client wrapped in an error of its own, or None."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, PinMismatchError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _check(der: bytes | None, allowed: frozenset[str]) -> None:
    if der is None:
        raise PinMismatchError("the server showed no certificate")
    try:
        found = _pin(x509.load_der_x509_certificate(der))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise PinMismatchError("the server's certificate cannot be read") from error
    if found not in allowed:
        raise PinMismatchError(f"the server's key is {found}, not the pinned {' or '.join(sorted(allowed))}")


def _pin(certificate: x509.Certificate) -> str:
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(spki).hexdigest()}"
