"""Our own certificate for tls: and wss: listeners: how long it is good, before phones refuse it."""

import datetime
from collections.abc import Iterator

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding, State
from runtime.certificates import CertificateFileError, days_left

RENEW_DAYS = 14


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """Nothing where there is no certificate."""
    if pbx.sip.tls is None:
        return
    file = pbx.sip.tls.certificate
    try:
        days = days_left(file, datetime.datetime.now(datetime.UTC))
    except CertificateFileError as error:
        yield Finding(pbx.name, "certificate", "failed", str(error), "Check sip.tls.certificate.")
        return
    state: State = "failed" if days < 0 else "warning" if days < RENEW_DAYS else "ok"
    text = f"{file} expired" if days < 0 else f"{file} is good for {days} days"
    hint = "" if state == "ok" else "Renew it, then: systemctl reload pbx-agent"
    yield Finding(pbx.name, "certificate", state, text, hint)
