"""`pbx-agent join`: a token becomes an identity, and nothing is sent before the master's key is checked."""

import asyncio
import base64
import contextlib
from dataclasses import dataclass
from pathlib import Path

from agent.edges.master import enrol
from agent.store.enrolment import KEY_FILE, Enrolment, save
from licensing import wire
from runtime.files import sync_directory
from runtime.signing import SigningKey

FRESH_KEY_FILE = "agent.key.joining"

EXAMPLE = """\
# pbx-agent: the PBX and its objects are described here, beside the PBX.
# Written by `pbx-agent join`. Edit sip: (and objects:), then `pbx-agent check-config` and `pbx-agent run`.

data: "{data}"

pbxs:
  - name: {pbx}
    software: {software}                # release of the PBX
    sip:
      listen: ["udp:0.0.0.0:5060"]      # where the phones send to; IPv6 as "udp:[::]:5060"
      advertise: "192.0.2.10:5060"      # EDIT: where the PBX finds this agent
      pbx: "udp:192.0.2.20:5060"        # EDIT: the PBX itself
    identity: user                      # 201@a and 201@b are one object; user_at_host tells them apart
    objects: []                         # first match wins; * and ? as in file names; for example
    #  - {{kind: trunk, name: carrier, aor: ["carrier"]}}
    #  - {{kind: group, aor: ["11"]}}     # groups and waiting queues draw no licence
    unknown: user                       # an AOR without a row: user (draws like one), refuse, pass

policy: {{away: refuse}}                  # refuse or report, until the master's policy is known
"""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the line of `licence-master invite` says."""

    url: str
    token: str
    pin: str


class OtherPbxError(Exception):
    """The invitation was that of `invited`, which nobody expected here; nothing was kept."""

    def __init__(self, invited: str) -> None:
        super().__init__(invited)
        self.invited = invited


def join(
    invitation: Invitation, data: Path, software: int, expected: str | None = None
) -> wire.Enrolled | wire.Problem:
    """Enrol at the master and keep key and enrolment below `data`; NoAnswerError, OtherPbxError, OSError.

    The key is on disk before the token is spent, so that a full disk costs no token. Whose invitation it
    was only the answer says.
    """
    data.mkdir(parents=True, exist_ok=True)
    fresh = data / FRESH_KEY_FILE
    fresh.unlink(missing_ok=True)
    key = SigningKey.generate()
    key.save(fresh)
    request = wire.Enrol(
        v=wire.VERSION,
        token=invitation.token,
        public_key=base64.b64encode(key.public).decode(),
        software=wire.Software(release=software),
    )
    try:
        answer = asyncio.run(enrol(invitation.url, invitation.pin, key, request))
        if isinstance(answer, wire.Enrolled):
            if expected not in (None, answer.agent):
                raise OtherPbxError(answer.agent)
            _keep(data / answer.agent, fresh, Enrolment((invitation.url,), (invitation.pin,), answer))
        return answer
    finally:
        fresh.unlink(missing_ok=True)


def _keep(directory: Path, fresh: Path, enrolment: Enrolment) -> None:
    directory.mkdir(mode=0o750, exist_ok=True)
    fresh.rename(directory / KEY_FILE)
    sync_directory(directory)
    save(directory, enrolment)


def try_place(path: Path) -> None:
    """Make the directory of agent.yaml, and see that it could be written there; OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.open("x").close()
        path.unlink()


def write_example(path: Path, pbx: str, data: Path, software: int) -> bool:
    """Write a commented agent.yaml where there is none; False when there is one already."""
    try:
        with path.open("x") as file:
            file.write(EXAMPLE.format(pbx=pbx, data=data, software=software))
    except FileExistsError:
        return False
    return True
