"""`kamailio` of agent.yaml: where its contacts are asked for, and where its route file tells and asks."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from agent.endpoint import Address
from runtime.config import ConfigModel, FieldError


class Kamailio(ConfigModel):
    """A Kamailio that says what it holds; with `asks` it is the SIP edge, and saves what the agent allows.

    `rpc` is the address of its JSON-RPC over HTTP, `evapi` that of its evapi module (without it changes are
    seen at the next look, every `resync_s`); `use_domain` as in its usrloc module.
    """

    rpc: Address
    path: Annotated[str, Field(pattern=r"^/[!-~]{0,200}$")] = "/RPC"
    evapi: Address | None = None
    asks: bool = False
    use_domain: bool = False
    resync_s: Annotated[int, Field(ge=5, le=3_600)] = 60

    @model_validator(mode="after")
    def _heard(self) -> Self:
        if self.asks and self.evapi is None:
            raise FieldError("found asks without evapi; write the bind_addr of its evapi module", "evapi")
        return self
