"""A call record as a case has it, in the file or in a CSV file beside it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import model_validator

from billing.edges.case_values import Instant, Name, Seconds
from runtime.config import ConfigModel, FieldError


class CallFields(ConfigModel):
    """A call record; without `answer` nobody answered."""

    id: Name
    account: str = ""
    caller: str = ""
    dialled: str
    kind: Literal["voice", "fax", "sms"] = "voice"
    direction: Literal["out", "in"] = "out"
    setup: Instant | None = None
    answer: Instant | None = None
    end: Instant | None = None
    seconds: Seconds | None = None
    received: Instant | None = None

    @model_validator(mode="after")
    def _has_an_instant(self) -> "CallFields":
        if self.answer is None and self.setup is None:
            raise FieldError(
                "missing; add the instant of the answer, or the setup of an unanswered call", "answer"
            )
        if self.end is not None and self.end < self.instant_ms:
            raise FieldError("the end is before the beginning", "end")
        if self.answer is not None and self.end is None and self.seconds is None:
            raise FieldError("missing; add the seconds of the call, or its end", "seconds")
        return self

    @property
    def instant_ms(self) -> int:
        """Its answer, or else its set-up."""
        found = self.setup if self.answer is None else self.answer
        assert found is not None
        return found

    @property
    def talk_s(self) -> int:
        """Whole seconds by its own count, or from answer to end; 0 when nobody answered."""
        if self.answer is None:
            return 0
        if self.seconds is not None:
            return self.seconds
        assert self.end is not None
        return -(-(self.end - self.answer) // 1_000)


def calls_columns() -> Sequence[str]:
    """The columns of a CSV file of calls."""
    return tuple(CallFields.model_fields)
