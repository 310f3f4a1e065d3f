"""Commands that read: show, verify."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from licence_file import dates, files
from licence_file.files import or_fail, refuse
from licensing.codes import Code, Refusal
from licensing.files import exact_json, licence_file
from licensing.files.armour import Block
from licensing.files.licence_file import (
    ISSUER,
    LICENCE,
    REVOCATIONS,
    AnyBody,
    Issuer,
    Licence,
    PublicKey,
    RevocationList,
    SignedFile,
    SignedList,
)
from runtime import signing
from runtime.cli import Exit, JsonFlag, print_json, table

Signed = SignedFile | SignedList | Issuer
FileArgument = Annotated[Path, typer.Argument(metavar="FILE")]


def show(file: FileArgument, as_json: JsonFlag = False) -> None:
    """Show what a file says, without asking whether it is true; verify checks its signatures.

    Example: licence-file show acme-1.licence
    """
    found = files.blocks(file)
    bodies = [_body(block, file) for block in found]
    if as_json:
        shown = [_as_json(block, body) for block, body in zip(found, bodies, strict=True)]
        print_json({"verified": False, "blocks": shown})
        return
    for block, body in zip(found, bodies, strict=True):
        _tell(block, body)
    typer.echo("Nothing was checked: licence-file verify FILE --root KEY checks the signatures.", err=True)


def verify(
    file: FileArgument,
    root: Annotated[list[str], typer.Option("--root", help="A root's public key, ed25519:….")],
    revocations: Annotated[
        Path | None, typer.Option("--revocations", help="The newest revocation list, checked too.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Check every signature of a licence file, a revocation list or an issuer's voucher.

    Exit code 1: signed by a stranger, or revoked. 4: changed, or no such file.

    Example: licence-file verify acme-1.licence --root ed25519:DmuROqNf…=
    """
    roots = tuple(or_fail(PublicKey.parse(text), "--root", Exit.USAGE) for text in root)
    found = _read(file, roots)
    if revocations is not None and isinstance(found, SignedFile):
        refusal = _revoked(found, _read(revocations, roots))
        if refusal is not None:
            refuse(refusal, file)
    match found:
        case SignedFile():
            said = f"{file}: issue {found.licence.issue_no} of {found.issuer} for {found.licence.project}"
            facts: dict[str, object] = {"id": found.id, "issuer": found.issuer, "key_id": found.key}
        case SignedList():
            said, facts = f"{file}: revocation list {found.list.number}", {"number": found.list.number}
        case Issuer():
            said, facts = f"{file}: a voucher for {found.issuer}", {"issuer": found.issuer, "key": found.key}
    if as_json:
        print_json({"ok": True, **facts})
    else:
        typer.echo(f"{said}; every signature fits")


def _read(path: Path, roots: tuple[PublicKey, ...]) -> Signed:
    text = files.content(path)
    if [block.label for block in files.blocks(path)] == [ISSUER]:
        return or_fail(licence_file.read_issuer(text, roots, signing.verify), path)[1]
    found = licence_file.read(text, roots, signing.verify)
    if isinstance(found, Refusal):
        refuse(found, path)
    return found


def _revoked(file: SignedFile, list_: Signed) -> Refusal | None:
    if not isinstance(list_, SignedList):
        return Refusal(Code.FILE_MALFORMED, "--revocations is no revocation list")
    if list_.root != file.root:
        return Refusal(Code.KEY_UNTRUSTED, "the revocation list is of another root")
    if file.key in list_.list.keys:
        return Refusal(Code.KEY_REVOKED, file.key)
    if file.id in list_.list.files:
        return Refusal(Code.FILE_REVOKED, file.id[:16])
    return None


def _body(block: Block, file: Path) -> AnyBody:
    text = licence_file.text_of(block)
    if block.label == ISSUER:
        return or_fail(exact_json.decode(text, Issuer), file)
    if block.label == LICENCE:
        return or_fail(exact_json.decode(text, Licence), file)
    if block.label != REVOCATIONS:
        refuse(Refusal(Code.FILE_MALFORMED, f"a block {block.label}"), file)
    return or_fail(exact_json.decode(text, RevocationList), file)


def _signer(block: Block) -> str:
    return block.content[:16].decode("ascii", "replace")


def _as_json(block: Block, body: object) -> dict[str, object]:
    told: dict[str, object] = {"block": block.label, "signed_by": _signer(block)}
    if block.label == LICENCE:
        told["id"] = licence_file.file_id(block)
    return told | {"says": msgspec.to_builtins(body)}


def _tell(block: Block, body: AnyBody) -> None:
    typer.echo(f"{block.label}, signed by key {_signer(block)}")
    match body:
        case Issuer():
            table([("issuer", body.issuer), ("key", body.key)], ("FIELD", "VALUE"))
        case RevocationList():
            listed = [("key", id_) for id_ in body.keys] + [("file", id_) for id_ in body.files]
            table([("number", str(body.number)), *listed], ("FIELD", "VALUE"))
        case Licence():
            table(_facts(block, body), ("FIELD", "VALUE"))
            rows = [(r.count, r.type, r.place or "master", r.mac or "") for r in body.licences]
            table(rows, ("COUNT", "TYPE", "PLACE", "MAC"))


def _facts(block: Block, body: Licence) -> list[tuple[str, str]]:
    facts = [("id", licence_file.file_id(block)), ("project", body.project), ("issue", str(body.issue_no))]
    facts.append(("issued", dates.written(body.issued_ms)))
    facts += [("supersedes", id_) for id_ in body.supersedes]
    facts += [("valid from", dates.written(body.from_ms))] if body.from_ms is not None else []
    facts += [("ends", dates.written(body.until_ms))] if body.until_ms is not None else []
    facts += [("for master", body.master)] if body.master else []
    return facts + [("for MAC", mac) for mac in body.macs]
