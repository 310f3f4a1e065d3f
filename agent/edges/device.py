"""The certificate that a device shows by TLS: its private key proves the MAC that its maker wrote into it."""

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from agent.config import PbxEntry
from licensing.installation import normal_mac
from runtime.certificates import CertificateFileError, client_context
from runtime.logs import logger

ASK_S = 600.0
ANSWER_S = 5.0
NAMES = (NameOID.SERIAL_NUMBER, NameOID.COMMON_NAME)

_MAC_AT_END = re.compile(r"(?:^|[^0-9A-Za-z])((?:[0-9A-Fa-f]{2}[:-]?){5}[0-9A-Fa-f]{2})$")

log = logger()


def mac_of(certificate: x509.Certificate) -> str:
    """The MAC at the end of a certificate's serialNumber or common name, in normal form; empty: none."""
    for oid in NAMES:
        for attribute in certificate.subject.get_attributes_for_oid(oid):
            found = _MAC_AT_END.search(str(attribute.value))
            if found is not None:
                return normal_mac(found[1]) or ""
    return ""


class Devices:
    """Asks the boxes that show a certificate now and then; what one proved stands while it is silent."""

    def __init__(self, entries: Sequence[PbxEntry]) -> None:
        self._entries = [entry for entry in entries if entry.box.certificate is not None]

    async def run(self, told: Callable[[str, str], None]) -> None:
        """Tell (name of the PBX, MAC or empty) until cancelled."""
        while self._entries:
            for entry in self._entries:
                found = await asked(entry)
                if found is not None:
                    told(entry.name, found)
            await asyncio.sleep(ASK_S)


async def asked(entry: PbxEntry) -> str | None:
    """The MAC of the certificate that the box shows now; empty: none that we trust; None: nobody answers."""
    wanted = entry.box.certificate
    if wanted is None:
        return None
    try:
        context = client_context(wanted.ca)
    except CertificateFileError as error:
        log.warning("device.untold", pbx=entry.name, error=str(error))
        return ""
    context.check_hostname = False  # it is known by its MAC, not by a name
    writer = None
    try:
        async with asyncio.timeout(ANSWER_S):
            _, writer = await asyncio.open_connection(entry.box_address, wanted.port, ssl=context)
    except ssl.SSLError as error:
        log.warning("device.untold", pbx=entry.name, error=str(error))
        return ""
    except (OSError, TimeoutError):
        return None
    try:
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return mac_of(x509.load_der_x509_certificate(shown))
    finally:
        writer.close()
