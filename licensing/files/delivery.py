"""What signed files do to an installation: a licence file comes, replaces, ends, or is taken back.

All of it or nothing, as one change. No registration ends: what is removed under someone's feet becomes
surplus (L.r31).
"""

from collections import Counter
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace

from licensing.administration import Change, change
from licensing.catalogue import Catalogue
from licensing.codes import Code, Refusal
from licensing.files import inventory
from licensing.files.document import NOTHING_REVOKED, Document
from licensing.files.file_events import RevocationsLearned
from licensing.files.inventory import Item
from licensing.files.licence_file import SignedFile, SignedList
from licensing.installation import UNASSIGNED, normal_mac, printed_mac
from licensing.ledger import AnyEvent, Removed, replay
from licensing.lender.claims import Demands
from licensing.pool import master_name
from licensing.state import State


@dataclass(frozen=True, slots=True)
class Here:
    """Where and when a file is installed: the key id of this master, UTC epoch milliseconds."""

    master: str
    now_ms: int


def install(
    state: State,
    catalogue: Catalogue,
    file: SignedFile,
    here: Here,
    *,
    demands: Demands | None = None,
    silent: Set[str] = frozenset(),
) -> Change | tuple[Refusal, ...]:
    """Install a licence file, in place of those that it supersedes.

    Codes: `already_installed`; `key_revoked`, `file_revoked`, `not_yet_valid`, `expired`, `wrong_master`,
    `mac_mismatch`, `issue_old`, `issuer_mismatch`; and those of `inventory.install`.
    """
    if inventory.holds(state, file.id):
        return (Refusal(Code.ALREADY_INSTALLED),)
    refusal = _refusal(state, file, here)
    if refusal is not None:
        return (refusal,)
    left: list[AnyEvent] = list(_withdrawn(state, file.licence.supersedes))
    items = [Item(r.type, r.count, r.place, r.mac, file.licence.project) for r in file.licence.licences]
    came = inventory.stocked(replay(left, state), catalogue, items, document(file))
    if isinstance(came, tuple):
        return came
    change_ = change(state, [*left, *came], demands, silent)
    bound = _hardware_refusal(state, change_.state, file)
    if bound is not None:
        return (bound,)
    return replace(change_, warnings=inventory.warnings(change_.state))


def revoke(
    state: State, signed: SignedList, *, demands: Demands | None = None, silent: Set[str] = frozenset()
) -> Change | tuple[Refusal, ...]:
    """Learn what a root takes back; licences of revoked files leave, those of revoked keys stay.

    A leaked key says nothing about the files that its owner made before. Codes: `already_installed`,
    `issue_old`.
    """
    known = state.revocations.get(signed.root, NOTHING_REVOKED)
    list_ = signed.list
    if list_.number == known.number and known.keys >= set(list_.keys) and known.files >= set(list_.files):
        return (Refusal(Code.ALREADY_INSTALLED),)
    if list_.number <= known.number:
        detail = f"this list is number {list_.number}, number {known.number} is known"
        return (Refusal(Code.ISSUE_OLD, detail, "Install the newest revocation list."),)
    ended = [
        id_ for id_ in list_.files if id_ in state.documents and state.documents[id_].root == signed.root
    ]
    events: list[AnyEvent] = [RevocationsLearned(signed.root, list_.number, list_.keys, list_.files)]
    events += _withdrawn(state, ended)
    change_ = change(state, events, demands, silent)
    return replace(change_, warnings=inventory.warnings(change_.state))


def expire(
    state: State, now_ms: int, *, demands: Demands | None = None, silent: Set[str] = frozenset()
) -> Change | None:
    """The licences of files whose time is over leave; None when there are none."""
    over = [d.id for d in state.documents.values() if d.until_ms is not None and d.until_ms <= now_ms]
    events = list(_withdrawn(state, over))
    return change(state, events, demands, silent) if events else None


def document(file: SignedFile) -> Document:
    """What the ledger remembers of a signed file."""
    licence = file.licence
    return Document(
        id=file.id,
        source="signed",
        issuer=file.issuer,
        root=file.root,
        key=file.key,
        project=licence.project,
        issue_no=licence.issue_no,
        until_ms=licence.until_ms,
        macs=tuple(sorted(mac for text in licence.macs if (mac := normal_mac(text)) is not None)),
    )


def _refusal(state: State, file: SignedFile, here: Here) -> Refusal | None:
    revoked = state.revocations.get(file.root, NOTHING_REVOKED)
    if file.key in revoked.keys:
        return Refusal(Code.KEY_REVOKED, f"{file.key} of {file.issuer}")
    if file.id in revoked.files:
        return Refusal(Code.FILE_REVOKED, f"{file.id[:16]} of {file.issuer}")
    from_ms, until_ms = file.licence.from_ms, file.licence.until_ms
    if from_ms is not None and here.now_ms < from_ms:
        return Refusal(Code.NOT_YET_VALID)
    if until_ms is not None and until_ms <= here.now_ms:
        return Refusal(Code.EXPIRED)
    return _binding_refusal(state, file, here.master) or _issue_refusal(state, file)


def _binding_refusal(state: State, file: SignedFile, master: str) -> Refusal | None:
    """The file names this master, and every row lies at a box whose MAC it names."""
    licence = file.licence
    if licence.master is not None and licence.master != master:
        return Refusal(Code.WRONG_MASTER, f"it names {licence.master}, this one is {master}")
    named = {normal_mac(mac) for mac in licence.macs}
    for place in {row.place for row in licence.licences if row.place != UNASSIGNED} if named else ():
        name = place or master_name(state.pbxs)
        box = state.pbxs.get(name)
        if box is None:
            continue  # no such place: `stocked` says so
        if box.mac not in named:
            shown = ", ".join(sorted(printed_mac(mac) for mac in named if mac))
            has = f"has {printed_mac(box.mac)}" if box.mac else "has none in the configuration"
            return Refusal(Code.MAC_MISMATCH, f"the file names {shown}, {name} {has}")
    return None


def _issue_refusal(state: State, file: SignedFile) -> Refusal | None:
    """Nothing that was replaced comes back: issue numbers only rise, under any key of the issuer."""
    licence = file.licence
    for known in state.documents.values():
        ours = (known.root, known.issuer) == (file.root, file.issuer)
        if known.id in licence.supersedes and not ours:
            whose = known.issuer or "a statement of the administrator"
            return Refusal(Code.ISSUER_MISMATCH, f"{known.id[:16]} is of {whose}")
        newer = known.id != file.id and known.issue_no >= licence.issue_no
        if ours and newer and known.project == licence.project:
            detail = f"this is issue {licence.issue_no}, issue {known.issue_no} is known here"
            return Refusal(Code.ISSUE_OLD, detail)
    return None


def _hardware_refusal(before: State, after: State, file: SignedFile) -> Refusal | None:
    """1.4: what is bound to hardware is never rented, and stays when a file takes the place of another."""
    rented = [e.type for e in after.entitlements.values() if e.hardware and e.document == file.id]
    if rented and file.licence.until_ms is not None:
        return Refusal(Code.HARDWARE_BOUND, f"{rented[0]}: it cannot be rented (1.4)")
    lost = _hardware(before) - _hardware(after)
    if lost:
        type_, place, _ = min(lost)
        text = f"{type_} at {place or 'the master'}: it cannot be deleted once it is assigned (1.4)"
        return Refusal(Code.HARDWARE_BOUND, text, "The new file must have it too.")
    return None


def _withdrawn(state: State, documents: Iterable[str]) -> Iterable[Removed]:
    gone = set(documents)
    for number, entitlement in sorted(state.entitlements.items()):
        if entitlement.document in gone:
            yield Removed(number, entitlement.count)


def _hardware(state: State) -> Counter[tuple[str, str, str]]:
    """Relay units by type, place and MAC."""
    found: Counter[tuple[str, str, str]] = Counter()
    for each in state.entitlements.values():
        if each.hardware and not each.unassigned:
            found[each.type, each.place, each.mac] += each.count
    return found
