"""`kamailio` of agent.yaml: where its contacts are asked for, and where its route file tells and asks."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from agent.endpoint import Address, own_address
from runtime.config import ConfigModel, FieldError


class Kamailio(ConfigModel):
    """A Kamailio that says what it holds; with `asks` it is the SIP edge, and saves what the agent allows.

    `rpc` is the address of its JSON-RPC over HTTP, `evapi` that of its evapi module, `reg_event` one of ours
    for its NOTIFYs (without both, changes are seen at the next look, every `resync_s`); `use_domain` as in
    its usrloc module. `dialogs`: its script calls `dlg_manage()` for every INVITE, so that its list of
    dialogs says which calls go on.
    """

    rpc: Address
    path: Annotated[str, Field(pattern=r"^/[!-~]{0,200}$")] = "/RPC"
    evapi: Address | None = None
    reg_event: Annotated[Address, AfterValidator(own_address)] | None = None
    asks: bool = False
    use_domain: bool = False
    dialogs: bool = False
    resync_s: Annotated[int, Field(ge=5, le=3_600)] = 60

    @model_validator(mode="after")
    def _heard(self) -> Self:
        if self.asks and self.evapi is None:
            raise FieldError("found asks without evapi; write the bind_addr of its evapi module", "evapi")
        if self.evapi is not None and self.reg_event is not None:
            raise FieldError("found reg_event beside evapi; one of them tells what changes", "reg_event")
        if self.reg_event and self.reg_event.ip and self.reg_event.ip.is_unspecified:
            trouble = f"found {self.reg_event}; write the one address of this host that Kamailio reaches"
            raise FieldError(trouble, "reg_event")
        if self.asks and self.dialogs:
            raise FieldError(
                "found dialogs with asks, where no call passes the agent; leave it out", "dialogs"
            )
        return self
