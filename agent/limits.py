"""`sip.limits` of agent.yaml: what one source may ask of the SIP edge, and who is asked no such question."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated

from pydantic import Field, GetPydanticSchema
from pydantic_core import core_schema

from runtime.config import ConfigModel

MAX_TRUSTED = 100


def read_network(text: str) -> IPv4Network | IPv6Network:
    """The network or single address in `text`; ValueError says what would be right."""
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        message = f'found "{text}"; write an address or a network, for example "192.0.2.0/24"'
        raise ValueError(message) from error
    if text.partition("/")[0] != str(network.network_address):
        raise ValueError(f'found "{text}"; the network is written "{network}"')
    return network


_SCHEMA = core_schema.no_info_after_validator_function(read_network, core_schema.str_schema(strict=True))
TrustedNetwork = Annotated[IPv4Network | IPv6Network, GetPydanticSchema(lambda _source, _handler: _SCHEMA)]


class Limits(ConfigModel):
    """Limits of one PBX's edge; a source is an IPv4 address or an IPv6 /64.

    The defaults let a site of thousands of phones behind one address come back after a power cut.
    """

    messages_per_s: Annotated[int, Field(ge=1, le=1_000_000)] = 1_000
    burst: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    transactions: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    trusted: Annotated[tuple[TrustedNetwork, ...], Field(max_length=MAX_TRUSTED)] = ()
