"""One bug to plant: a text of a source file, another in its place, and the test that must notice."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bug:
    """`before` occurs exactly once in `file`; with `after` in its place `test` must turn red.

    `lesson` is the class of docs/reliability.md, section 3, or the safety rule that it breaks; `test` is a
    pytest node id (no spaces). Several changes of one bug go into `more` as (file, before, after).
    """

    name: str
    lesson: str
    file: str
    before: str
    after: str
    harness: str
    test: str
    more: Sequence[tuple[str, str, str]] = ()
    timeout_s: int = 300  # of a test that hangs; in `make test` it has what other tests leave

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Every (file, before, after)."""
        return [(self.file, self.before, self.after), *self.more]
