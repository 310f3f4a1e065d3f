"""Call records: does a source tell who pays a line that goes on behind a transfer?"""

from collections.abc import Iterator
from typing import Final

from agent.config import PbxEntry
from agent.edges.doctor.finding import Finding

_BY_PAIRS: Final = ("asterisk_master", "asterisk_custom", "asterisk_ami_cdr")
"""CDRs of Asterisk: no number stands in the record of a line behind an attended transfer."""

HINT: Final = (
    "Read channel events in their place: asterisk_ami_cel, or asterisk_cel by file"
    " (docs/call-records.md, Who pays which leg)."
)


def checks(pbx: PbxEntry) -> Iterator[Finding]:
    """A source of such records whose `trunks` say that calls leave by lines."""
    named = [source.name for source in pbx.cdrs.sources if source.dialect in _BY_PAIRS and source.trunks]
    if named:
        detail = (
            f"CDRs ({', '.join(named)}): after a consultation who transfers does not pay the rest of a line"
        )
        yield Finding(pbx.name, "records", "warning", detail, HINT)
