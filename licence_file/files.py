"""The files of this program: keys, and armoured files that are never written over."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeVar

from licensing.codes import Refusal
from licensing.files import armour
from licensing.files.armour import Block
from licensing.files.licence_file import DAMAGED, ISSUER
from runtime.cli import Exit, fail
from runtime.signing import KeyFileError, SigningKey, write_new_file

T = TypeVar("T")

CERTIFICATE = ".issuer"
"""The end of the name of the file in which a root vouches for an issuer's key."""

_READABLE = 0o644


def or_fail(found: T | Refusal, where: object, code: Exit | None = None) -> T:
    """What was found; or its refusal on stderr: bad data where the file is damaged, else refused."""
    if isinstance(found, Refusal):
        refuse(found, where, code)
    return found


def refuse(refusal: Refusal, where: object, code: Exit | None = None) -> NoReturn:
    """Say what is wrong with this file, and leave."""
    exit_code = code or (Exit.BAD_DATA if refusal.code in DAMAGED else Exit.REFUSED)
    fail(exit_code, f"{where}: {refusal.sentence} ({refusal.code})\nWhat helps: {refusal.hint}")


def content(path: Path) -> bytes:
    """All bytes of a file, which need not be longer than a licence file may be."""
    try:
        with path.open("rb") as file:
            return file.read(armour.MAX_BYTES + 1)
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}")


def blocks(path: Path) -> tuple[Block, ...]:
    """The armoured blocks of a file, whatever their signatures are worth."""
    return or_fail(armour.unwrap(content(path)), path)


def block(path: Path, label: str) -> Block:
    """The one block of this kind in a file."""
    found = [each for each in blocks(path) if each.label == label]
    if len(found) != 1:
        fail(Exit.BAD_DATA, f"{path}: it holds no {label}")
    return found[0]


def write(path: Path, *made: Block) -> None:
    """A new file of these blocks."""
    _new(path, lambda: write_new_file(path, "".join(map(armour.wrap, made)).encode(), _READABLE))


def new_key(path: Path) -> SigningKey:
    """A key of our own in a new file that nobody else may read."""
    key = SigningKey.generate()
    _new(path, functools.partial(key.save, path))
    return key


def key(path: Path) -> SigningKey:
    """The private key in this file."""
    try:
        return SigningKey.load(path)
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}")
    except KeyFileError as error:
        fail(Exit.USAGE, str(error))


def certificate(path: Path) -> Block:
    """The block of a root's word for an issuer, alone in its file."""
    return block(path, ISSUER)


def _new(path: Path, write_: Callable[[], None]) -> None:
    try:
        write_()
    except FileExistsError:
        fail(Exit.REFUSED, f"{path} is there already and is never written over; choose another name")
    except OSError as error:
        fail(Exit.USAGE, f"{path}: {error.strerror}")
