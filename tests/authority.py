"""A certificate authority for tests: certificates for hosts and phones, right and wrong ones."""

import datetime
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key; `both` is one file with the two, as baresip wants it."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Makes certificates in its folder; `certificate` is its own, to be trusted."""

    def __init__(self, folder: Path, name: str = "Test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self.certificate = folder / "ca.crt"
        made = self._builder(self._name, self._key.public_key(), DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.certificate.write_bytes(made.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, *names: str, life: datetime.timedelta = DAY) -> Files:
        """A certificate for these IP addresses or DNS names; a negative `life` has expired."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._builder(_name(names[0]), key.public_key(), life)
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        signed = made.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        stem = names[0].replace(":", "-")
        while (self._folder / f"{stem}.crt").exists():
            stem += "-again"
        files = Files(*(self._folder / f"{stem}.{end}" for end in ("crt", "key", "pem")))
        certificate = signed.public_bytes(Encoding.PEM)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        files.certificate.write_bytes(certificate)
        files.key.write_bytes(secret)
        files.both.write_bytes(secret + certificate)
        return files

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, life: datetime.timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + life)
        )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
