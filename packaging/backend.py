"""The build backend: setuptools, which for a wheel gets mypyc as well (docs/decisions/0013)."""

from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - every hook of PEP 517 and PEP 660 but the one below


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    """What a wheel is built with; an editable installation is never compiled and needs none of it."""
    return [*build_meta.get_requires_for_build_wheel(config_settings), "mypy>=2.4,<3"]
