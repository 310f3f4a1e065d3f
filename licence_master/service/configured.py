"""What the configuration says about an installation, in the words of the licensing rules."""

import hashlib

import msgspec

from licence_master.config import InstallationConfig, PbxConfig, PbxFields
from licensing import hardware, wire
from licensing.demand import Classes, kinds
from licensing.installation import Pbx, Settings, normal_mac
from licensing.offers import offered

DAY_S = 86_400


def settings(config: InstallationConfig) -> Settings:
    """What decides how licences count."""
    return Settings(
        software=config.software,
        mixed_versions=config.mixed_versions,
        ipva_binding=config.ipva_binding,
    )


def pbx(config: PbxFields) -> Pbx:
    """One PBX."""
    return Pbx(
        name=config.name,
        role=config.role,
        platform=config.platform,
        model=config.model,
        mac=(normal_mac(config.mac) or "") if config.mac else "",
        software=config.software,
        standby_for=config.protected,
        cloud=config.cloud,
        interfaces=config.interfaces,
        reserve=tuple(config.reserve.items()),
    )


def pbxs(config: InstallationConfig) -> list[Pbx]:
    """All PBXs in the order of the file."""
    return [
        msgspec.structs.replace(pbx(each), tolerates=config.policy.overridden_by(each.policy).tolerates)
        for each in config.pbxs
    ]


def policies(config: InstallationConfig, classes: Classes) -> dict[str, str]:
    """For each PBX the policy its agent will obey, as JSON text; equal policies have equal etags."""
    return {each.name: msgspec.json.encode(_policy(config, each, classes)).decode() for each in config.pbxs}


def _policy(config: InstallationConfig, each: PbxConfig, classes: Classes) -> wire.Policy:
    said = config.policy.overridden_by(each.policy)
    policy = wire.Policy(
        etag="",
        kinds=kinds(pbx(each)),
        enforcement=said.enforcement,
        away=said.away,
        refuse=said.refuse,
        grace_s=said.grace_days * DAY_S,
        linger_s=said.linger_s,
        clone=said.clone,
        pins=said.pins,
        protected=each.protected,
        lines=hardware.lines(pbx(each), {}),
        channels=said.channels,
        uses=offered(classes.values()),
    )
    etag = hashlib.sha256(msgspec.json.encode(policy, order="sorted")).hexdigest()[:16]
    return msgspec.structs.replace(policy, etag=etag)
