"""Kamailio as the PBX behind the guard and as the proxy that the benchmark compares with.

Always with its fast allocator (`-x fm -X fm`): Debian's default is a debug allocator, two to three times
slower. Contacts live in memory only: a restarted registrar has forgotten them.
"""

import http.client
import json
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.peers.network import Ground, program, written
from tests.acceptance.peers.page import shown
from tests.acceptance.peers.processes import Program
from tests.acceptance.peers.waiting import until
from tests.authority import Files

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules"

CORE = """#!KAMAILIO
debug=2
log_stderror=yes
fork=yes
children={workers}
auto_aliases=no
listen=udp:{host}:{port}
server_signature=yes
mpath="{modules}/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "path.so"
"""

RPC = """listen=tcp:{host}:{port}
tcp_children=1
tcp_accept_no_cl=yes
loadmodule "xhttp.so"
loadmodule "jsonrpcs.so"
loadmodule "kex.so"
modparam("jsonrpcs","transport",1)
event_route[xhttp:request] { jsonrpc_dispatch(); }
"""

# As docs/kamailio.md tells an administrator to do it.
EVAPI = 8448
ROUTE_FILE = Path(__file__).parents[3] / "config" / "kamailio" / "pbx-agent.cfg"
AGENT = """loadmodule "tmx.so"
loadmodule "htable.so"
loadmodule "evapi.so"
modparam("evapi","bind_addr","{host}:{evapi}")
{defines}
include_file "{file}"
"""

# Dialogs of every call, as docs/kamailio.md tells it.
DIALOGS = """loadmodule "dialog.so"
modparam("dialog","db_mode",0)
modparam("tm","fr_timer",1000)
"""

# Call records of every call, by the log over UDP, and by evapi as docs/call-records.md tells it.
ACCOUNTING = """loadmodule "log_custom.so"
modparam("acc","log_flag",1)
modparam("acc","log_level",1)
modparam("acc","log_extra","src_user=$fU;dst_user=$rU")
failure_route[FORWARD] {
  if (!t_check_status("302")) exit;
  $ru = $(T_rpl($ct){nameaddr.uri});
  if (lookup("location")) t_relay();
}
"""

# RFC 3680; its tables are files of their own for each start.
REG_EVENT = """loadmodule "db_text.so"
loadmodule "presence.so"
loadmodule "presence_reginfo.so"
loadmodule "pua.so"
loadmodule "pua_reginfo.so"
modparam("presence","db_url","text://{folder}/dbtext")
modparam("presence","server_address","sip:presence@{host}:{port}")
modparam("presence","subs_db_mode",0)
modparam("presence","publ_cache",1)
modparam("presence","send_fast_notify",1)
modparam("pua","db_url","text://{folder}/dbtext")
modparam("pua","db_mode",0)
modparam("pua_reginfo","default_domain","{host}")
modparam("pua_reginfo","server_address","sip:reginfo@{host}:{port}")
modparam("pua_reginfo","outbound_proxy","sip:{host}:{port}")
"""
REG_EVENT_ROUTE = """
  if (is_method("PUBLISH|SUBSCRIBE")) {
    if (!t_newtran()) exit;
    if (is_method("PUBLISH")) handle_publish(); else handle_subscribe();
    t_release();
    exit;
  }
"""
TABLES = Path("/usr/share/kamailio/dbtext/kamailio")

TLS = """listen=tls:{host}:5061
enable_tls=yes
loadmodule "tls.so"
modparam("tls","config","{folder}/tls.cfg")
"""

TLS_SIDE = """[{side}:default]
method = TLSv1.2+
certificate = {files.certificate}
private_key = {files.key}
ca_list = {trusted}
verify_certificate = {verify}
require_certificate = {verify}
"""

REGISTRAR = """loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
# the phones of peers/steady.py answer one challenge as long as a test runs
modparam("auth","nonce_expire",86400)
modparam("usrloc","db_mode",0)
modparam("usrloc","timer_interval",1)
modparam("usrloc","hash_size",12)
modparam("registrar","min_expires",{min_expires})
modparam("registrar","default_expires",{default_expires})
modparam("registrar","max_contacts",10)
modparam("registrar","use_path",{use_path})
modparam("registrar","path_mode",1)
"""

REGISTRAR_ROUTES = """
request_route {
  if (!mf_process_maxfwd_header("10")) { sl_send_reply("483","Too Many Hops"); exit; }
  if (is_method("OPTIONS") && uri==myself) { sl_send_reply("200","OK"); exit; }
  if (has_totag()) {
    if (loose_route()) { route(RELAY); exit; }
    if (is_method("ACK")) { if (t_check_trans()) t_relay(); exit; }
    sl_send_reply("404","Not here"); exit;
  }
  if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; }
  if (is_method("REGISTER")) {
    AUTHENTICATE
    REWRITE
    save("location");
    exit;
  }
  if (is_method("INVITE")) {
    record_route();
    if (!lookup("location")) { sl_send_reply("404","Not registered"); exit; }
  } else { sl_send_reply("403","Nobody here"); exit; }
  route(RELAY);
}
route[RELAY] { if (!t_relay()) sl_reply_error(); exit; }
"""

# As one sets it up for phones behind a NAT: the sender's address instead of the one in the contact.
REWRITE = "fix_nated_contact(); msg_apply_changes();"
REWRITING_MODULES = """loadmodule "nathelper.so"
loadmodule "textopsx.so"
"""

AUTHENTICATE = """
    if (!($tU =~ "^[1-9][0-9][0-9][0-9][0-9]?$")) { sl_send_reply("404","Unknown user"); exit; }
    if (!pv_www_authenticate("$td","pw$tU","0") || $au != $tU) { www_challenge("$td","1"); exit; }
"""

PROXY_ROUTES = """
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483","Too Many Hops"); exit; }}
  if (is_present_hf("Route")) loose_route();
  if (is_method("REGISTER")) add_path();
  if (is_method("INVITE") && !has_totag()) record_route();
  if ($si != "{to_host}" || $sp != {to_port}) $du = "sip:{to_host}:{to_port}";
  {relay}
}}
"""


def module(name: str, package: str) -> Path:
    """Return the file of a module; FileNotFoundError names its Debian package."""
    found = Path(MODULES) / f"{name}.so"
    if not found.exists():
        raise FileNotFoundError(f"{found} is not there (package {package})")
    return found


@dataclass(frozen=True, slots=True)
class Secured:
    """A PBX with TLS at port 5061: what it shows, whom it believes, and whether it wants to be shown."""

    files: Files
    trusted: Path
    verify: bool = True

    def written(self) -> str:
        """The file that Kamailio's tls module reads."""
        values = {"files": self.files, "trusted": self.trusted, "verify": "yes" if self.verify else "no"}
        return "".join(TLS_SIDE.format(side=side, **values) for side in ("server", "client"))


class Kamailio(Program):
    """A Kamailio with the given configuration, ready when it answers OPTIONS to `host:port`."""

    def __init__(
        self,
        folder: Path,
        ground: Ground,
        address: tuple[str, int],
        configuration: str,
        *,
        prefix: Sequence[str] = (),
        memory_mb: int = 64,
        logs_here: bool = True,
    ) -> None:
        """Describe it; `prefix` comes before the command (taskset, strace).

        Without `logs_here` its log goes where the configuration says.
        """
        self.host, self.port = address
        self._configuration = configuration
        command = [*prefix, program("kamailio"), "-f", str(folder / "kamailio.cfg"), "-DD"]
        command += ["-E"] if logs_here else []
        command += ["-x", "fm", "-X", "fm", "-m", str(memory_mb), "-w", str(folder), "-Y", str(folder)]
        super().__init__("kamailio", command, folder, ground)

    def start(self) -> None:
        """Write the configuration, start, and wait for the first answer."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "kamailio.cfg").write_text(self._configuration)
        super().start()
        with self._ground.udp(self.host) as probe:
            probe.settimeout(0.05)
            until(lambda: self._answers(probe), what=f"an answer of Kamailio; see {self.log_path}")

    def _answers(self, probe: socket.socket) -> bool:
        """Send one OPTIONS; any answer will do."""
        assert self.process.poll() is None, f"Kamailio ended:\n{self.log[-2000:]}"
        host, port = written(probe.getsockname()[0]), probe.getsockname()[1]
        probe.sendto(
            f"OPTIONS sip:{written(self.host)}:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bKprobe\r\n"
            f"From: <sip:probe@{host}>;tag=1\r\nTo: <sip:probe@{written(self.host)}>\r\n"
            f"Call-ID: probe@{host}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 5\r\n"
            "Content-Length: 0\r\n\r\n".encode(),
            (self.host, self.port),
        )
        try:
            return probe.recv(4096).startswith(b"SIP/2.0 ")
        except (TimeoutError, ConnectionRefusedError):
            return False


class Registrar(Kamailio):
    """The PBX: registrar with digest and Path, calls relayed to what is registered.

    Users are 1000 to 99999, the password of user N is `pwN`; any domain in the request counts as its own.
    `digest=False` trusts everyone (the benchmark's registrar), `path=False` ignores Path, `rewrites=True`
    puts the address that a REGISTER came from into its contacts.
    """

    def __init__(
        self,
        folder: Path,
        ground: Ground,
        address: tuple[str, int],
        *,
        digest: bool = True,
        workers: int = 2,
        min_expires: int = 1,
        default_expires: int = 60,
        prefix: Sequence[str] = (),
        tls: Secured | None = None,
        path: bool = True,
        rewrites: bool = False,
        memory_mb: int = 64,
        agent: Sequence[str] | None = None,
        dialogs: bool = False,
        reg_event: bool = False,
        records: tuple[str, int] | None = None,
    ) -> None:
        """Describe it; expiries in seconds. It always listens by UDP and TCP.

        With `agent` it has the route file of config/kamailio, with these `#!define`s of it; with `dialogs`
        it keeps track of every call, with `reg_event` it tells of registrations by NOTIFY. To `records` goes
        its log, the calls too; then it tells them by evapi as well, and calls whom a 302 names.
        """
        host, port = written(address[0]), address[1]
        self.tls = tls
        values = {"host": host, "port": port, "workers": workers, "modules": MODULES}
        settings = {"min_expires": min_expires, "default_expires": default_expires, "use_path": int(path)}
        text = CORE.format(**values) + REGISTRAR.format(**settings)
        text += RPC.replace("{host}", host).replace("{port}", str(port))
        text += TLS.format(host=host, folder=folder) if tls else ""
        text += REWRITING_MODULES if rewrites else ""
        routes = REGISTRAR_ROUTES.replace("AUTHENTICATE", AUTHENTICATE if digest else "")
        routes = routes.replace("REWRITE", REWRITE if rewrites else "")
        if agent is not None:
            defines = "\n".join(f"#!define {word}" for word in agent)
            text += AGENT.format(host=host, evapi=EVAPI, defines=defines, file=ROUTE_FILE)
            routes = routes.replace('save("location")', "route(PBX_AGENT_SAVE)")
        if dialogs:
            text += DIALOGS
            routes = routes.replace("record_route();", "dlg_manage(); record_route();")
        if records is not None:
            to_syslog = f'log_stderror=no\nlog_engine_type="udp"\nlog_engine_data="{records[0]}:{records[1]}"'
            text = text.replace("log_stderror=yes", to_syslog) + shown('loadmodule "acc.so"') + ACCOUNTING
            forwards = 't_on_failure("FORWARD"); record_route();'
            routes = routes.replace("record_route();", f"setflag(1); {forwards}")
            routes = routes.replace(
                "if (loose_route())", 'if (is_method("BYE")) setflag(1);\n    if (loose_route())'
            )
        self._tables = reg_event
        if reg_event:
            text += REG_EVENT.format(folder=folder, host=host, port=port)
            routes = routes.replace("  if (has_totag())", REG_EVENT_ROUTE + "  if (has_totag())")
        text += routes
        super().__init__(
            folder, ground, address, text, prefix=prefix, memory_mb=memory_mb, logs_here=records is None
        )

    def start(self) -> None:
        """Write what is said of certificates too; tables are those of an empty database."""
        if self._tables:
            shutil.rmtree(self.folder / "dbtext", ignore_errors=True)
            shutil.copytree(TABLES, self.folder / "dbtext")
        if self.tls is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "tls.cfg").write_text(self.tls.written())
        super().start()

    def rpc(self, method: str, *parameters: str | float) -> Any:
        """Return the result of a JSON-RPC call; LookupError with Kamailio's text if it refuses."""
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = self._ground.connect(self.host, self.port)
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        try:
            connection.request("POST", "/RPC", json.dumps(request))
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        if "error" in answer:
            raise LookupError(answer["error"]["message"])
        return answer["result"]

    def count(self) -> int:
        """Return how many contacts it has, also where they are too many for one answer."""
        return int(self.rpc("stats.fetchn", "usrloc:")["usrloc.location_contacts"])

    def contacts(self) -> dict[str, list[dict[str, Any]]]:
        """Return the contacts of each AOR (`Address`, `Expires` in seconds, `Path`, `User-Agent`, …)."""
        domains = self.rpc("ul.dump")["Domains"]
        return {
            aor["Info"]["AoR"]: [contact["Contact"] for contact in aor["Info"]["Contacts"]]
            for domain in domains
            for aor in domain["Domain"]["AoRs"]
        }


class Proxy(Kamailio):
    """A plain proxy in front of a registrar; to REGISTER it adds Via and Path, as the guard does.

    `stateful=True` is `t_relay()` with transactions, `stateful=False` is `forward()`.
    """

    def __init__(
        self,
        folder: Path,
        ground: Ground,
        address: tuple[str, int],
        to: tuple[str, int],
        *,
        stateful: bool = True,
        workers: int = 1,
        prefix: Sequence[str] = (),
        memory_mb: int = 64,
        settings: str = "",
    ) -> None:
        """Describe it; everything goes to the address `to`; `settings` are more lines of configuration."""
        values = {"host": address[0], "port": address[1], "workers": workers, "modules": MODULES}
        relay = "if (!t_relay()) sl_reply_error();" if stateful else "forward();"
        text = CORE.format(**values) + "disable_tcp=yes\n" + settings
        text += PROXY_ROUTES.format(to_host=to[0], to_port=to[1], relay=relay)
        super().__init__(folder, ground, address, text, prefix=prefix, memory_mb=memory_mb)
