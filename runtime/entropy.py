"""Where bytes come from that nobody can foresee; a simulation brings a source that can be repeated."""

import secrets
from collections.abc import Callable

Entropy = Callable[[int], bytes]
"""Draws so many random bytes."""

SYSTEM: Entropy = secrets.token_bytes
"""The system's source; nothing else may make a secret outside a test."""
