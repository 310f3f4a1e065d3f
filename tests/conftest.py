"""Property tests run the same examples each time; `make chaos` draws new ones and prints what failed."""

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, print_blob=True)
settings.register_profile("chaos", print_blob=True)
settings.load_profile("chaos" if os.environ.get("CHAOS") else "steady")
