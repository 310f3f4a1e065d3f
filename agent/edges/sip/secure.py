"""TLS: the contexts of one PBX, and one connection's layer of it: bytes in, bytes out.

The handshake is part of the turn in which its bytes arrive: so its limits are those of the connection, and
what went wrong is known in words where it happened.
"""

import ssl

from agent.transport import TlsFiles
from runtime import certificates
from runtime.certificates import Identity

RECORD = 65_536


class Contexts:
    """What a PBX's listeners and our connection to it stand on, read from the files again by `load`.

    Connections keep what they began with. With `phones_ca` every client shows a certificate: of that
    authority, or where the PBX connects, of `pbx_ca`. CertificateFileError when a file cannot be used.
    """

    def __init__(self, files: TlsFiles, pbx_name: str) -> None:
        self._files = files
        self._pbx_name = files.pbx_name or pbx_name
        self.load()

    def load(self) -> None:
        """Read the files; nothing changes when one of them cannot be used."""
        files = self._files
        identity = Identity(files.certificate, files.key)
        phones = [files.phones_ca] if files.phones_ca else []
        pbx = [files.pbx_ca] if files.pbx_ca and phones else []
        listening = certificates.server_context(identity, phones)
        towards_pbx = certificates.server_context(identity, phones + pbx)
        calling = certificates.client_context(files.pbx_ca, identity)
        self._listening, self._towards_pbx, self._calling = listening, towards_pbx, calling

    def server(self, *, towards_pbx: bool) -> "Tls":
        """The layer of a connection that came by a listener."""
        return Tls(self._towards_pbx if towards_pbx else self._listening)

    def client(self) -> "Tls":
        """The layer of our connection to the PBX."""
        return Tls(self._calling, server_name=self._pbx_name)


class Tls:
    """`feed` what arrives, send `outgoing` after every call; `done` once both sides know each other."""

    def __init__(self, context: ssl.SSLContext, *, server_name: str | None = None) -> None:
        """A server's side, or with `server_name` (what the certificate must be made out to) a client's."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
        )
        self.done = False
        self.ended = False

    def feed(self, data: bytes) -> bytes:
        """What the peer said; ssl.SSLError when it cannot be trusted or understood."""
        self._incoming.write(data)
        if not self.done:
            self.begin()
        heard = []
        while self.done and not self.ended:
            try:
                heard.append(self._object.read(RECORD))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                self.ended = True
            else:
                self.ended = not heard[-1]
        return b"".join(heard)

    def begin(self) -> None:
        """Go on with the handshake as far as it goes; a client begins it."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.done = True

    def wrap(self, data: bytes) -> None:
        """Encrypt what is to be sent."""
        self._object.write(data)

    def finish(self, data: bytes) -> bytes:
        """The last bytes to send: these, if any, and goodbye; the peer's own is not waited for."""
        if self.done:
            try:
                if data:
                    self._object.write(data)
                self._object.unwrap()
            except ssl.SSLError:  # it would read the peer's goodbye, or there was trouble before
                self.ended = True
        return self.outgoing()

    def outgoing(self) -> bytes:
        """What must be sent now."""
        return self._outgoing.read()


def why(error: ssl.SSLError) -> str:
    """What went wrong, for an administrator."""
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: its certificate is refused: {error.verify_message}"
    if "did not return a certificate" in reason:
        return "TLS: it showed no certificate, and phones_ca wants one"
    if "alert" in reason:
        said = reason.partition("alert ")[2]
        return f"TLS: it ended the handshake: {said}"
    if reason in ("http request", "wrong version number", "unknown protocol"):
        return "TLS: it does not speak TLS"
    return f"TLS: {reason}"
