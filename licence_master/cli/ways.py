"""The ways to a master, its Unix socket or a URL, and what helps where one leads nowhere."""

import http.client
import re
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from licence_master.config import MasterConfig
from licence_master.store.directory import DataDirectory
from runtime.cli import Exit, fail, is_there, warn
from runtime.config import ConfigErrors, load, text_of
from runtime.unix_http import UnixConnection
from runtime.yaml_values import UnreadableError, read

CONNECT_S = 30.0

_PIN = re.compile(r"sha256:[0-9a-fA-F]{64}")
_ALLOWED = "ask as root or as a member of its group"
_SEE_INVITE = "licence-master invite prints the pin"

Opener = Callable[[], http.client.HTTPConnection]


def by_socket(config: Path) -> Opener:
    """To the Unix socket in the data directory."""
    path = DataDirectory(_data(config)).admin_socket
    if not is_there(path, Exit.UNREACHABLE, _ALLOWED):
        fail(Exit.UNREACHABLE, f"{path} is not there; is licence-master serve running?")
    return lambda: UnixConnection(path, CONNECT_S)


def by_url(url: str, config: Path, pin: str | None) -> tuple[Opener, str]:
    """To the admin API elsewhere, and what comes before each path there."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme != "https":
        fail(Exit.USAGE, f'--url: found "{url}"; write https://HOST:PORT')
    name, trust = host, _trust(config, pin)

    def opened() -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(name, port, timeout=CONNECT_S, context=trust)

    return opened, parts.path.rstrip("/")


def unreached(error: OSError | http.client.HTTPException) -> str:
    """Why no answer came, and what to do about it."""
    match error:
        case PermissionError():
            return f"the master does not answer: {error.strerror}; {_ALLOWED}"
        case ssl.SSLCertVerificationError():
            trouble = error.verify_message.rstrip(".")
            return f"the server's certificate is not trusted here: {trouble}; add --pin PIN: {_SEE_INVITE}"
        case ssl.SSLError():
            return _untrusted(error)
        case socket.gaierror():
            return f"the master is not found: {error.strerror}; is the name in --url right?"
        case _:
            return f"the master does not answer: {error}; is licence-master serve running?"


def _untrusted(error: ssl.SSLError) -> str:
    from runtime.tls import PinMismatchError  # not for the Unix socket

    if isinstance(error, PinMismatchError):
        return f"the server shows another key than the pinned one: {error.args[0]}; {_SEE_INVITE}"
    return f"no TLS with the master: {error.reason or error}; is this the port of admin.listen?"


def _data(config: Path) -> Path:
    """Where the data lie: all that a question needs of master.yaml, also of one that serve would refuse."""
    try:
        return load(config, MasterConfig).data
    except ConfigErrors as errors:
        data = _written(config, errors)
        if data is None:
            fail(Exit.USAGE, errors.report("nothing was asked"))
        warn(errors.report("a master that runs goes on as it was configured before, and is asked"))
        return data


def _written(config: Path, errors: ConfigErrors) -> Path | None:
    """`data` as it stands in a file with errors; None where one of them may be about it."""
    try:
        root, _ = read(text_of(str(config), config.read_bytes()))
    except (OSError, ConfigErrors, UnreadableError):
        return None
    known = MasterConfig.model_fields
    if not root.items or any(error.path == "data" for error in errors.errors) or root.items.keys() - known:
        return None
    found = root.items["data"].value if "data" in root.items else str(known["data"].default)
    return config.parent / Path(str(found)).expanduser()


def _trust(config: Path, pin: str | None) -> ssl.SSLContext:
    """The pin that was given, else this machine's master's certificate, else the system's authorities."""
    from runtime.tls import pin_of_certificate, pinned_context  # not for the Unix socket

    if pin is not None:
        if _PIN.fullmatch(pin) is None:
            fail(Exit.USAGE, f'--pin: found "{pin}"; write sha256: and 64 hex digits: {_SEE_INVITE}')
        return pinned_context([pin])
    try:
        own = load(config, MasterConfig)
        shown = (own.tls.certificate or DataDirectory(own.data).certificate[0]).read_bytes()
        return pinned_context([pin_of_certificate(shown)])
    except (OSError, ValueError, ConfigErrors):  # no master of this machine, or not for us to look at
        return ssl.create_default_context()
