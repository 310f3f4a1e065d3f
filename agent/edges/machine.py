"""What /etc, /proc and /sys tell of the machine; each path is below a root, which tests may bring along."""

import hashlib
from pathlib import Path

from licensing.box.machine import Machine
from licensing.box.machine import machine as of_texts

OURS = "pbx-agent:"  # the id itself is nobody else's business (machine-id(5))


def machine(root: Path = Path("/")) -> Machine:
    """The machine below this root; what cannot be read says nothing."""
    dmi = root / "sys/class/dmi/id"
    id_ = text_of(root / "etc/machine-id")
    flags = text_of(root / "proc/cpuinfo").partition("\nflags")[2].partition("\n")[0].split()
    return of_texts(
        text_of(dmi / "sys_vendor"),
        text_of(dmi / "product_name"),
        hypervisor="hypervisor" in flags or bool(text_of(root / "sys/hypervisor/type")),
        id_=hashlib.sha256((OURS + id_).encode()).hexdigest()[:16] if id_ else "",
    )


def text_of(path: Path) -> str:
    """A small file without its last newline; empty where there is none, or it is closed to us."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
