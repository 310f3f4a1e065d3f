"""What files do to an installation, as events of its ledger."""

from dataclasses import replace

from licensing.event import Event
from licensing.files.document import NOTHING_REVOKED, Document, Revocations
from licensing.state import State


class DocumentInstalled(Event, frozen=True):
    """A file came; what it brings follows as events of its own."""

    document: Document

    def after(self, state: State) -> State:
        return replace(state, documents={**state.documents, self.document.id: self.document})


class RevocationsLearned(Event, frozen=True):
    """A newer list of a root came; what was revoked before stays revoked."""

    root: str
    number: int
    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def after(self, state: State) -> State:
        known = state.revocations.get(self.root, NOTHING_REVOKED)
        learned = Revocations(self.number, known.keys | set(self.keys), known.files | set(self.files))
        return replace(state, revocations={**state.revocations, self.root: learned})
