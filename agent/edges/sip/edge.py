"""The SIP edge of one PBX: its UDP sockets, its stream listeners and the connection to it, as one."""

import asyncio
from collections.abc import Callable, Sequence

from agent.config import PbxEntry
from agent.edges.sip.pbx_link import PbxLink
from agent.edges.sip.secure import Contexts
from agent.edges.sip.stream import StreamEdge
from agent.edges.sip.udp import UdpEdge
from agent.service.site import Site
from runtime.certificates import CertificateFileError
from runtime.clock import Clock
from runtime.logs import logger
from telephony.address import Flow


class SipEdge:
    """`open`, then `run` beside whatever else runs, then `close`; the site sends by `send`."""

    def __init__(self, site: Site, entry: PbxEntry, clock: Clock) -> None:
        sip = entry.sip
        numbered = dict(enumerate(sip.listen))
        self._udp = UdpEdge(site, {n: at for n, at in numbered.items() if at.transport == "udp"}, clock)
        streams = {n: at for n, at in numbered.items() if at.transport != "udp"}
        self._contexts = None if sip.tls is None else Contexts(sip.tls, sip.pbx.address.host)
        self._streams = StreamEdge(site, sip, streams, self._contexts, clock)
        self._link: PbxLink | None = None
        if sip.pbx.transport != "udp":
            self._link = PbxLink(site, sip, self._contexts, clock, entry.name)
        self._log = logger(pbx=entry.name)
        self._lost = 0
        self._senders: list[Callable[[Flow, bytes], None]] = [
            self._send_stream if number in streams else self._udp.send for number in numbered
        ]

    @property
    def lost(self) -> int:
        """Messages that could not be sent: full sockets, and connections that ended before."""
        return self._udp.lost + self._streams.lost + self._lost + (self._link.lost if self._link else 0)

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped before we saw them."""
        return self._udp.dropped

    def shut_out(self, sources: Sequence[str]) -> None:
        """Let the kernel drop the datagrams of these sources; connections are refused one by one."""
        self._udp.shut_out(sources)

    async def open(self) -> list[str]:
        """Bind every listener and read from now on; the bound addresses. OSError when one is taken."""
        bound = self._udp.open()
        try:
            return bound + await self._streams.open()
        except OSError:
            self.close()
            raise

    async def run(self) -> None:
        """Look after connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._streams.run(), name="connections")
            if self._link is not None:
                tasks.create_task(self._link.run(), name="connection to the PBX")

    def reload(self) -> bool:
        """Read the certificate files again for connections from now on; whether there are any."""
        if self._contexts is not None:
            try:
                self._contexts.load()
            except CertificateFileError as error:
                self._log.error("certificates.kept", error=str(error))
            else:
                self._log.info("certificates.loaded")
        return self._contexts is not None

    def pause(self) -> None:
        """Read no more: what arrives is for whoever holds the sockets next. Connections end with us."""
        self._udp.pause()
        self._streams.pause()

    def close(self) -> None:
        """Read and send no more."""
        self._udp.close()
        self._streams.close()
        if self._link is not None:
            self._link.close()

    def send(self, flow: Flow, data: bytes) -> None:
        """Send by this flow: now, or when its socket has room."""
        self._senders[flow.listener](flow, data)

    def _send_stream(self, flow: Flow, data: bytes) -> None:
        """By its connection; what the PBX asked over one that is gone is answered over ours."""
        link = self._link
        if flow.connection and self._streams.send(flow, data):
            return
        if link is not None and link.answers_for(flow):
            link.send(data)
        else:
            self._lost += 1
