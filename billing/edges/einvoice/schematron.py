"""The schematrons of EN 16931 and of France, offline in a child process that lives for at most 50 documents.

Saxon's memory grows with each document (180 to 275 MB over 120 of them), so its process ends when a batch
does. A validator that is not there, dies, or looks at nothing is an error and never a pass.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BATCH = 50
TIMEOUT_S = 300


class ValidatorError(RuntimeError):
    """A validator gave no verdict: it is not there, has no stylesheet, or died. Nothing may be issued."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a validator found wrong."""

    validator: str
    rule: str
    """BR-CO-10; the validator's own word where it has no rule."""
    where: str
    """XPath, or the line of the invoice."""
    text: str

    def __str__(self) -> str:
        return f"{self.validator}: {self.rule}: {self.where}: {self.text}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one schematron says of one document: how many rules looked at something, and what they found."""

    fired: int
    findings: tuple[Finding, ...]


def judge(documents: Sequence[bytes], stylesheet: Path) -> list[Verdict]:
    """One verdict for each XML document, in order. ValidatorError where there is none."""
    starts = range(0, len(documents), BATCH)
    return [verdict for start in starts for verdict in run(documents[start : start + BATCH], stylesheet)]


def run(documents: Sequence[bytes], stylesheet: Path) -> list[Verdict]:
    """One child process for these documents."""
    asked = json.dumps({"stylesheet": str(stylesheet), "documents": [xml.decode() for xml in documents]})
    command = [sys.executable, "-P", "-m", "billing.edges.einvoice.saxon"]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=TIMEOUT_S)  # noqa: S603
    except (subprocess.TimeoutExpired, OSError) as error:
        raise ValidatorError(f"{stylesheet.name}: {error}") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
        raise ValidatorError(f"{stylesheet.name}: {reason}")
    verdicts = [verdict(answer, stylesheet) for answer in json.loads(done.stdout)]
    if len(verdicts) != len(documents):
        raise ValidatorError(f"{stylesheet.name}: {len(verdicts)} verdicts for {len(documents)} documents")
    return verdicts


def verdict(answer: dict[str, object], stylesheet: Path) -> Verdict:
    """One answer of the child; that no rule fired means that the stylesheet is not for this document."""
    fired, found = answer["fired"], answer["found"]
    assert isinstance(fired, int)
    assert isinstance(found, list)
    if not fired:
        raise ValidatorError(f"{stylesheet.name}: no rule of it looked at the document")
    return Verdict(fired, tuple(Finding(stylesheet.stem, *words) for words in found))
