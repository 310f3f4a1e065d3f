"""Commands that sign: keygen, issue, revoke."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from licence_file import dates, files, grants
from licence_file.files import CERTIFICATE, or_fail
from licensing.files import exact_json
from licensing.files.armour import Block
from licensing.files.licence_file import (
    ALGORITHM,
    ISSUER,
    LICENCE,
    REVOCATIONS,
    Issuer,
    Licence,
    PublicKey,
    RevocationList,
    file_id,
    seal,
    text_of,
)
from runtime.cli import Exit, JsonFlag, fail, print_json
from runtime.signing import SigningKey

KeyOption = Annotated[Path, typer.Option("--key", help="The issuer's private key.")]
VoucherOption = Annotated[
    Path | None, typer.Option("--voucher", help="The root's word for it; default: KEY with .issuer.")
]
LicencesArgument = Annotated[
    list[str], typer.Argument(metavar='"COUNT TYPE [at PBX] [mac MAC]"...', help="What it grants.")
]
ProjectOption = Annotated[str, typer.Option("--project", help="Issue numbers count for each project.")]
IssueOption = Annotated[
    int | None, typer.Option("--issue-no", min=1, help="Default: 1 above the superseded file's.")
]
SupersedesOption = Annotated[
    list[Path] | None, typer.Option("--supersedes", help="A file whose place this one takes.")
]
MasterOption = Annotated[
    str | None, typer.Option("--master", help="Key id of the one master (licence-master doctor).")
]
MacOption = Annotated[list[str] | None, typer.Option("--mac", help="A box that the licences may lie at.")]
FromOption = Annotated[str | None, typer.Option("--from", help="First day, such as 2027-01-01 (UTC).")]
UntilOption = Annotated[str | None, typer.Option("--until", help="Last day (UTC).")]


def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new private key (mode 0600).")],
    issuer: Annotated[
        str | None, typer.Option("--issuer", help="Vouch for an issuer of this name; needs --root-key.")
    ] = None,
    root_key: Annotated[Path | None, typer.Option("--root-key", help="The root's private key.")] = None,
    public: Annotated[
        str | None,
        typer.Option("--public", help="Vouch for this key, made elsewhere: FILE is then the voucher."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a root key, or an issuer's key with the root's word for it (FILE with the end .issuer).

    The private root key stays on a machine without a network. Its public key, which is printed, goes into
    licence_roots of the masters' configuration.

    Example: licence-file keygen root.key

    Example: licence-file keygen sales.key --issuer "Example GmbH" --root-key root.key
    """
    if (issuer is None) != (root_key is None) or (public is not None and issuer is None):
        fail(Exit.USAGE, "an issuer needs both --issuer NAME and --root-key FILE")
    root = files.key(root_key) if root_key else None
    if public is not None:
        key = or_fail(PublicKey.parse(public), "--public", Exit.USAGE)
        voucher: Path | None = file
    else:
        key = PublicKey(ALGORITHM, files.new_key(file).public)
        voucher = file.with_suffix(CERTIFICATE) if issuer else None
    if voucher is not None and issuer is not None and root is not None:
        files.write(voucher, _sealed(ISSUER, Issuer(alg=ALGORITHM, issuer=issuer, key=str(key)), root))
    if as_json:
        print_json({"public": str(key), "key_id": key.id, "voucher": str(voucher) if voucher else None})
        return
    typer.echo(f"public key {key}, key id {key.id}")
    if voucher is None:
        typer.echo(f'A root? Then write into master.yaml: licence_roots: ["{key}"]')
    else:
        typer.echo(f"made {voucher}; licence-file issue puts it into every file")


def issue(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new licence file.")],
    licences: LicencesArgument,
    key: KeyOption,
    voucher: VoucherOption = None,
    project: ProjectOption = "main",
    issue_no: IssueOption = None,
    supersedes: SupersedesOption = None,
    master: MasterOption = None,
    mac: MacOption = None,
    anywhere: Annotated[bool, typer.Option("--anywhere", help="Bind it to nothing.")] = False,
    from_: FromOption = None,
    until: UntilOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a licence file.

    Example: licence-file issue acme-1.licence "200 PBX-Port13" "20 PBX-IPVA13 mac 00-90-33-01-02-03"
    --key sales.key --issue-no 1 --mac 00-90-33-01-02-03

    Example: licence-file issue acme-2.licence "300 PBX-Port13" --key sales.key --supersedes acme-1.licence
    --master 5d41402abc4b2a76 --until 2027-12-31
    """
    if not (master or mac or anywhere):
        fail(Exit.USAGE, "bind it with --master KEY-ID or --mac MAC, or say --anywhere")
    signer = files.key(key)
    vouched = _vouched(voucher or key.with_suffix(CERTIFICATE), signer)
    old = [files.block(path, LICENCE) for path in supersedes or ()]
    body = Licence(
        alg=ALGORITHM,
        project=project,
        issue_no=issue_no or _next_issue(old),
        issued_ms=time.time_ns() // 1_000_000,
        licences=or_fail(grants.rows(licences), "licences", Exit.USAGE),
        supersedes=tuple(file_id(each) for each in old),
        from_ms=or_fail(dates.first_moment(from_), "--from", Exit.USAGE) if from_ else None,
        until_ms=or_fail(dates.after_last_moment(until), "--until", Exit.USAGE) if until else None,
        master=master,
        macs=or_fail(grants.macs(mac or ()), "--mac", Exit.USAGE),
    )
    made = _sealed(LICENCE, body, signer)
    files.write(file, vouched, made)
    if as_json:
        print_json({"id": file_id(made), "issue_no": body.issue_no, "project": project})
        return
    typer.echo(f"made {file}: issue {body.issue_no} for {project}, id {file_id(made)}")


def revoke(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new revocation list.")],
    root_key: Annotated[Path, typer.Option("--root-key", help="The root's private key.")],
    licence: Annotated[list[Path] | None, typer.Option("--file", help="A licence file to take back.")] = None,
    id_: Annotated[list[str] | None, typer.Option("--id", help="The id of one, where it is lost.")] = None,
    key_id: Annotated[
        list[str] | None, typer.Option("--key-id", help="An issuer's key that signs nothing any more.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option("--previous", help="The list before this one, which it repeats.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign a list of what is not valid any more; install it like a licence file.

    Licences of a revoked file leave. A revoked key signs nothing new; what it signed and is installed stays,
    until its own file is revoked too.

    Example: licence-file revoke 2.revocations --root-key root.key --previous 1.revocations
    --key-id 5d41402abc4b2a76
    """
    before = _list_before(previous) if previous else RevocationList(alg=ALGORITHM, number=1, issued_ms=0)
    ids = [file_id(files.block(path, LICENCE)) for path in licence or ()]
    body = RevocationList(
        alg=ALGORITHM,
        number=before.number + 1 if previous else 1,
        issued_ms=time.time_ns() // 1_000_000,
        keys=tuple(sorted({*before.keys, *(key_id or ())})),
        files=tuple(sorted({*before.files, *ids, *(id_ or ())})),
    )
    if (body.keys, body.files) == (before.keys, before.files):
        fail(Exit.USAGE, "name what to revoke: --file FILE, --id ID or --key-id KEY-ID")
    files.write(file, _sealed(REVOCATIONS, body, files.key(root_key)))
    if as_json:
        print_json({"number": body.number, "keys": list(body.keys), "files": list(body.files)})
        return
    typer.echo(f"made {file}: list {body.number}, {len(body.keys)} key(s), {len(body.files)} file(s)")


def _sealed(label: str, body: Issuer | Licence | RevocationList, key: SigningKey) -> Block:
    """The signed block, once it is sure that every reader takes it."""
    or_fail(exact_json.decode(msgspec.json.encode(body), type(body)), "what you asked for", Exit.USAGE)
    return seal(label, body, key.sign)


def _vouched(path: Path, signer: SigningKey) -> Block:
    voucher = files.certificate(path)
    said = or_fail(exact_json.decode(text_of(voucher), Issuer), path)
    if said.key != str(PublicKey(ALGORITHM, signer.public)):
        fail(Exit.USAGE, f"{path} is about another key than {signer.key_id}; name the right --voucher")
    return voucher


def _next_issue(old: list[Block]) -> int:
    if not old:
        fail(Exit.USAGE, "say --issue-no N: one more than the last file of this project")
    said = [or_fail(exact_json.decode(text_of(each), Licence), "--supersedes") for each in old]
    return max(each.issue_no for each in said) + 1


def _list_before(path: Path) -> RevocationList:
    return or_fail(exact_json.decode(text_of(files.block(path, REVOCATIONS)), RevocationList), path)
