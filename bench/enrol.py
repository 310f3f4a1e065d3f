"""Enrol many agents from inside a network: what `pbx-agent join` does, for each `Joining` of a JSON list."""

import sys
import time
from pathlib import Path

import msgspec

from agent.edges.joining import Invitation, join
from bench.world import RELEASE, Joining
from licensing import wire

PATIENCE_S = 10


def main() -> None:
    """Join for each of them, in order; exits with the refusal of the first that fails."""
    for each in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Joining]):
        answer = _joined(each)
        if not isinstance(answer, wire.Enrolled):
            sys.exit(f"{each.url}: {answer.code}: {answer.detail}")


def _joined(each: Joining) -> wire.Enrolled | wire.Problem:
    """The answer; the master takes only so many enrolments a second from one address, shared here."""
    for _ in range(PATIENCE_S):
        answer = join(Invitation(each.url, each.token, each.pin), Path(each.data), RELEASE)
        if isinstance(answer, wire.Enrolled) or answer.code != "rate_limited":
            break
        time.sleep(1.0)
    return answer


if __name__ == "__main__":
    main()
