"""Secrets that systemd hands to a service as files: `LoadCredential=` of its unit.

Source: systemd.exec(5), "Credentials": $CREDENTIALS_DIRECTORY is a directory for this service alone.
"""

import os
from collections.abc import Mapping
from pathlib import Path

PREFIX = "credential:"
STORE = Path("/etc/credstore")


def directory(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where the credentials of this process lie; None for a process that got none."""
    given = environment.get("CREDENTIALS_DIRECTORY")
    return Path(given) if given else None


def credential(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The file of this credential; None when we did not get it.

    In some containers systemd leaves an empty directory there that is root's, where we may not even look.
    """
    folder = directory(environment)
    return folder / name if folder is not None and os.access(folder / name, os.R_OK) else None


def guarded(path: Path, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is a credential: systemd lets in whom it concerns, which file modes do not show."""
    folder = directory(environment)
    return folder is not None and path.parent == folder


def named(text: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The path of `credential:NAME`; None for any other text, ValueError for a name that leads elsewhere.

    Of a process without credentials, such as check-config typed by hand, the path is the text itself: see
    `out_of_reach`.
    """
    if not text.startswith(PREFIX):
        return None
    name = text.removeprefix(PREFIX)
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f'expected the name of a credential, as in "credential:tls.key", found "{text}"')
    folder = directory(environment)
    return Path(text) if folder is None else folder / name


def out_of_reach(path: Path) -> bool:
    """Whether this is a credential of a service that we are not, so that nobody but it can look."""
    return str(path).startswith(PREFIX)


def of_the_service(path: Path, stored: str) -> Path:
    """This file; or, where it is not there, what the service of this host gets in its place.

    For commands typed by root, who may look into /etc/credstore. Of a directory that is closed to us the file
    is this one: whoever opens it hears why not.
    """
    other = STORE / stored
    return other if not os.access(path, os.F_OK) and os.access(other, os.R_OK) else path
