"""SIGHUP: follow a changed configuration where that is safe, and say where a restart is needed."""

from collections.abc import Mapping
from pathlib import Path

from licence_master.config import MasterConfig
from licence_master.service.administration import NotConfigurableError
from licence_master.service.installation import Installation
from runtime.config import ConfigErrors, load
from runtime.logs import logger

log = logger()


async def reconfigure(
    running: MasterConfig, path: Path, installations: Mapping[str, Installation]
) -> MasterConfig:
    """PBXs, policies and settings become ledger events; errors change nothing and are logged."""
    try:
        config = load(path, MasterConfig)
    except ConfigErrors as errors:
        log.warning("configuration.refused", errors=str(errors).splitlines())
        return running
    refused = False
    for each in config.installations:
        installation = installations.get(each.name)
        if installation is None:
            continue
        installation.administration.roots = config.roots
        installation.terms.releases = config.published
        try:
            await installation.administration.configure(each, "configuration")
            installation.keep(each)
        except (NotConfigurableError, ConfigErrors) as error:
            refused = True
            log.warning("configuration.refused", installation=each.name, errors=str(error).splitlines())
    names = {each.name for each in config.installations}
    apart = [
        key for key in ("data", "agents", "admin", "tls") if getattr(config, key) != getattr(running, key)
    ]
    if apart or names != set(installations):
        changed = apart + (["installations"] if names != set(installations) else [])
        log.warning("configuration.needs_restart", changed=changed)
    if not refused:
        log.info("configuration.reloaded", file=str(path))
    return config
