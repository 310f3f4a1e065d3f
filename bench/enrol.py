"""Enrol many agents from inside a network: what `pbx-agent join` does, for each `Joining` of a JSON list."""

import sys
from pathlib import Path

import msgspec

from agent.edges.joining import Invitation, join
from bench.world import RELEASE, Joining
from licensing import wire


def main() -> None:
    """Join for each of them, in order; exits with the refusal of the first that fails."""
    for each in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Joining]):
        answer = join(Invitation(each.url, each.token, each.pin), Path(each.data), RELEASE)
        if not isinstance(answer, wire.Enrolled):
            sys.exit(f"{each.url}: {answer.code}: {answer.detail}")


if __name__ == "__main__":
    main()
