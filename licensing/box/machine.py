"""The machine an agent runs on: real or virtual, and by which id it is told from a copy."""

from dataclasses import dataclass
from typing import Final

# How the DMI tables of virtual machines begin their vendor or product (as systemd-detect-virt compares them).
_MAKERS: Final = (
    "QEMU", "KVM", "VMware", "VMW", "innotek GmbH", "VirtualBox", "Xen", "Bochs", "Parallels", "BHYVE",
    "Amazon EC2", "Google Compute Engine", "OpenStack", "Hyper-V", "Apple Virtualization", "DigitalOcean",
)  # fmt: skip
_MICROSOFT: Final = ("Microsoft Corporation", "Virtual Machine")


@dataclass(frozen=True, slots=True)
class Machine:
    """`virtual` None: nothing tells. `id` tells it from others, and is not /etc/machine-id itself."""

    virtual: bool | None = None
    product: str = ""
    id: str = ""

    @property
    def words(self) -> str:
        """What it is, for people."""
        kind = {True: "a virtual machine", False: "a real machine", None: "virtual or real: cannot be told"}
        return f"{kind[self.virtual]} ({self.product})" if self.product else kind[self.virtual]


def machine(vendor: str, product: str, *, hypervisor: bool, id_: str) -> Machine:
    """The machine of these DMI texts, either empty; `hypervisor`: the kernel names one."""
    shown = " ".join(dict.fromkeys(text for text in (vendor.strip(), product.strip()) if text))
    known = any(text.strip().startswith(_MAKERS) for text in (vendor, product))
    if known or hypervisor or (vendor.strip(), product.strip()) == _MICROSOFT:
        return Machine(True, shown, id_)
    return Machine(False if shown else None, shown, id_)
