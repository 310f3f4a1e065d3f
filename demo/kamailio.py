"""Kamailio as a site's PBX: a registrar with digest and Path that relays calls; user N has password pwN."""

from pathlib import Path

MODULES = "/usr/lib/x86_64-linux-gnu/kamailio/modules/"
READY = b"Listening on"

REGISTRAR = """\
#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
disable_tcp=yes
listen=udp:{host}:{port}
mpath="{modules}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "path.so"
modparam("usrloc","db_mode",0)
modparam("registrar","min_expires",5)
modparam("registrar","use_path",1)
modparam("registrar","path_mode",1)
request_route {{
  if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483","Too Many Hops"); exit; }}
  if (is_method("OPTIONS") && uri==myself) {{ sl_send_reply("200","OK"); exit; }}
  if (has_totag()) {{
    if (loose_route() || is_method("ACK")) route(RELAY); else sl_send_reply("404","Not here");
    exit;
  }}
  if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
  if (is_method("REGISTER")) {{
    if (!pv_www_authenticate("$td","pw$tU","0") || $au != $tU) {{ www_challenge("$td","1"); exit; }}
    save("location");
    exit;
  }}
  if (is_method("INVITE")) {{
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404","Not registered"); exit; }}
  }}
  route(RELAY);
}}
route[RELAY] {{ if (!t_relay()) sl_reply_error(); exit; }}
"""


def registrar(address: tuple[str, int]) -> str:
    """The configuration of a registrar at this UDP address."""
    return REGISTRAR.format(host=address[0], port=address[1], modules=MODULES)


def command(program: str, file: Path, folder: Path) -> list[str]:
    """The command line that runs it in the foreground; every path is absolute, as Kamailio demands."""
    return [program, "-f", str(file), "-DD", "-E", "-m", "16", "-w", str(folder), "-Y", str(folder)]
