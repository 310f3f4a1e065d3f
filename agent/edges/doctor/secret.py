"""The secret of Asterisk's manager interface: may nobody else read it?"""

import stat
from collections.abc import Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding, State
from runtime.credentials import guarded, out_of_reach


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Nothing where there is no Asterisk, or where systemd keeps the secret."""
    if pbx.asterisk is None or out_of_reach(file := pbx.asterisk.secret) or guarded(file):
        return
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError as error:
        hint = "Write the secret of manager.conf there, for the agent's user alone."
        state: State = "unknown" if isinstance(error, PermissionError) else "failed"
        yield Finding(pbx.name, "secret", state, f"{file}: {error.strerror}", hint)
        return
    if mode & 0o077:
        text = f"{file}: others may read it (mode {mode:04o})"
        yield Finding(pbx.name, "secret", "warning", text, "chmod 600, and the agent's user its owner.")
    else:
        yield Finding(pbx.name, "secret", "ok", f"{file} is ours alone")
