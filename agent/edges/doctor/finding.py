"""What one check of `pbx-agent doctor` found."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its subject, how it went, what was seen and what would help."""

    pbx: str
    check: str
    state: State
    detail: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """The finding with its fields as keys."""
        return asdict(self)
