"""Asterisk 22 as the PBX behind the guard, started as an ordinary user from an unpacked tree.

`make asterisk` fetches the tree (fetch-asterisk.sh) into the user's cache folder. Asterisk keeps contacts
in its database across a restart, so its folder outlives the process.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.acceptance.peers.network import Network
from tests.acceptance.peers.page import shown
from tests.acceptance.peers.processes import Program

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pbx-licences" / "asterisk"
MANAGER_PORT = 5038
SECRET = "agentsecret"
# Stock files that its modules want.
STOCK = ("acl", "features", "indications", "musiconhold", "pjproject", "rtp", "sorcery", "stasis", "udptl")
# Only what the tests use: it starts in a third of the time.
MODULES = """
app_confbridge app_dial app_echo app_playback app_verbose
bridge_holding bridge_native_rtp bridge_simple bridge_softmix
chan_pjsip codec_alaw codec_ulaw format_gsm format_pcm
app_exec func_callerid func_channel func_cut func_hangupcause func_logic func_strings
pbx_config res_agi res_musiconhold res_rtp_asterisk res_speech res_timing_timerfd
res_pjproject res_pjsip res_pjsip_authenticator_digest res_pjsip_caller_id res_pjsip_endpoint_identifier_ip
res_pjsip_endpoint_identifier_user res_pjsip_nat res_pjsip_outbound_registration res_pjsip_path
res_pjsip_pubsub res_pjsip_refer res_pjsip_registrar res_pjsip_sdp_rtp res_pjsip_session
res_sorcery_astdb res_sorcery_config res_sorcery_memory
"""

ASTERISK_CONF = """[directories]
astetcdir => {run}/etc
astmoddir => {modules}
astvarlibdir => {run}/lib
astdbdir => {run}/db
astkeydir => {run}/lib
astdatadir => {root}/usr/share/asterisk
astagidir => {run}/lib
astspooldir => {run}/spool
astrundir => {run}/run
astlogdir => {run}/log
astsbindir => {root}/usr/sbin
[options]
nocolor = yes
documentation_language = en_US
"""

MANAGER_CONF = """[general]
enabled = yes
port = {port}
bindaddr = {host}
timestampevents = yes
{general}
[pbx-agent]
secret = {secret}
read = system,call,cdr
write = system,call,reporting
{user}
"""

PJSIP_CONF = """[global]
type=global
contact_expiration_check_interval=1
[transport-udp]
type=transport
protocol=udp
bind={host}:5060
[phone](!)
type=endpoint
context=default
disallow=all
allow=ulaw,alaw
direct_media=no
[login](!)
type=auth
auth_type=userpass
[contacts](!)
type=aor
max_contacts=2
remove_existing=yes
minimum_expiration=2
support_path=yes
"""

PHONE = """[{user}](phone)
auth={user}
aors={user}
accountcode={user}
[{user}](login)
username={user}
password=pw{user}
[{user}](contacts)
{aor}
"""

RECORDS_MODULES = "func_cdr res_cdrel_custom cdr_custom cdr_manager cel_manager"
RECORDS_CONF = {
    "cdr": "[general]\nenable=yes\nunanswered=yes\ncongestion=yes\n",
    "cdr_manager": "[general]\nenabled=yes\n",
}

CONFBRIDGE_CONF = """[general]
[default_bridge]
type=bridge
[default_user]
type=user
quiet=yes
"""

LOGGER_CONF = """[general]
dateformat=%F %T.%3q
[logfiles]
console => notice,warning,error
messages => notice,warning,error
"""


def tree() -> Path | None:
    """Where Asterisk is unpacked; None where it could not be fetched."""
    root = CACHE / "root"
    return root if (root / "usr/sbin/asterisk").exists() else None


@cache
def root() -> Path:
    """Return the unpacked tree; FileNotFoundError says how to get it."""
    found = tree()
    if found is None:
        raise FileNotFoundError(f"Asterisk is not in {CACHE} (make asterisk); only its recordings ran")
    return found


def version() -> str:
    """The version that was unpacked."""
    found = re.search(r"Version: (\S+)", (CACHE / "control").read_text())
    assert found is not None, "fetch-asterisk.sh notes it"
    return found[1]


class Asterisk(Program):
    """An Asterisk with these users (password of N: `pwN`) and dial plan, ready when it is fully booted.

    `aors` are more lines for the AOR of a user, `pjsip` for pjsip.conf, `general` and `user` for
    manager.conf. With `records` it writes call records into `records_file`, and tells them and the events
    of channels to the manager.
    """

    def __init__(
        self,
        network: Network,
        users: Sequence[str],
        dialplan: str,
        *,
        host: str | None = None,
        aors: Mapping[str, str] | None = None,
        pjsip: str = "",
        general: str = "",
        user: str = "",
        records: bool = False,
    ) -> None:
        """Describe it; nothing is written before the start."""
        self.host = host or network.address()
        self.run_folder = network.folder / "asterisk"
        library = next(root().glob("usr/lib/*/asterisk")).parent
        loader = next(library.glob("ld-linux*.so.*"))
        self._loader = [str(loader), "--library-path", str(library), str(root() / "usr/sbin/asterisk")]
        self._config = str(self.run_folder / "etc" / "asterisk.conf")
        values = {"run": self.run_folder, "root": root(), "modules": library / "asterisk" / "modules"}
        phones = [PHONE.format(user=each, aor=(aors or {}).get(each, "")) for each in users]
        manager = {
            "host": self.host,
            "port": MANAGER_PORT,
            "secret": SECRET,
            "general": general,
            "user": user,
        }
        modules = f"{MODULES} {RECORDS_MODULES if records else ''}"
        self.records_file = self.run_folder / "log" / "cdr-custom" / "Custom.csv"
        self._files = {
            "asterisk": ASTERISK_CONF.format(**values),
            "modules": "[modules]\nautoload = no\n"
            + "".join(f"load = {name}.so\n" for name in modules.split()),
            "manager": MANAGER_CONF.format(**manager),
            "pjsip": PJSIP_CONF.format(host=self.host) + "".join(phones) + pjsip,
            "extensions": dialplan,
            "confbridge": CONFBRIDGE_CONF,
            "logger": LOGGER_CONF,
        }
        if records:
            self._files |= {**RECORDS_CONF, "cdr_custom": shown("[mappings]"), "cel": shown("; cel.conf")}
        command = [*self._loader, "-C", self._config, "-f"]
        super().__init__("asterisk", command, self.run_folder, network)

    def start(self) -> None:
        """Write the configuration, start, and wait until it is fully booted."""
        for name in ("etc", "run", "log/cdr-custom", "lib", "spool", "db"):
            (self.run_folder / name).mkdir(parents=True, exist_ok=True)
        for name in STOCK:
            shutil.copy(root() / f"etc/asterisk/{name}.conf", self.run_folder / "etc")
        for name, text in self._files.items():
            (self.run_folder / "etc" / f"{name}.conf").write_text(text)
        documentation = self.run_folder / "lib" / "documentation"
        if not documentation.is_symlink():
            documentation.symlink_to(root() / "usr/share/asterisk/documentation")
        super().start()
        self.wait_for("Asterisk Ready", within_s=30)

    def cli(self, command: str) -> str:
        """What a command of its console prints."""
        assert isinstance(self._ground, Network)
        return self._ground.run([*self._loader, "-C", self._config, "-rx", command])

    def contacts(self) -> dict[str, list[str]]:
        """The URIs that it holds of each AOR."""
        found: dict[str, list[str]] = {}
        for aor, uri in re.findall(r"Contact: +([^/<\s]+)/(\S+)", self.cli("pjsip show contacts")):
            found.setdefault(aor, []).append(uri)
        return found

    def stop(self) -> None:
        """`core stop now`: it tells nobody what became of its contacts."""
        self.cli("core stop now")
        self.wait()
