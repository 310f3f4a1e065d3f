"""`pbx-billing channels`: how many calls each line may carry at once, for the licence master."""

import json

import typer

from billing.cli.opening import ConfigOption, NowOption, instant
from billing.core.customer import line_channels
from billing.edges import houses, instants
from billing.edges.billing_file import DEFAULT
from runtime.cli import Exit, JsonFlag, fail, print_json
from runtime.config import ConfigErrors


def channels(config: ConfigOption = DEFAULT, now: NowOption = None, as_json: JsonFlag = False) -> None:
    """Say how many calls each line has today by its offer: what `policy.channels` of master.yaml may name.

    A line is named by its first number, here and in agent.yaml (`carrier`). After a change of an offer write
    the file again and reload the licence master; agents follow within a second.

    Example: pbx-billing channels > channels.yaml && systemctl reload licence-master
    """
    try:
        _, house = houses.read(config)
    except ConfigErrors as errors:
        fail(Exit.USAGE, errors.report("nothing was written"))
    at_ms = instant(now)
    found: dict[str, int] = {}
    for contract in house.contracts.values():
        zone = instants.zone(contract.zone)
        assert zone is not None, "the model has looked"
        of_customer = line_channels(contract.terms.customer, instants.local_days(zone)(at_ms))
        twice = sorted(found.keys() & of_customer.keys())
        if twice:
            fail(Exit.REFUSED, f"{twice[0]}: the first number of two lines; one of them is {contract.name}'s")
        found |= of_customer
    if as_json:
        print_json({"channels": found})
        return
    rows = [f"  {json.dumps(line)}: {allowed}" for line, allowed in found.items()]
    typer.echo("\n".join(["channels:", *rows] if rows else ["channels: {}"]))
