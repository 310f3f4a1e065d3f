"""Room for connections: the limit of open files is raised as far as the system allows."""

import subprocess
import sys

import pytest

ASK = """
import resource
from agent.edges.sip.sockets import SPARE_FILES, make_room
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
make_room({connections})
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES)
"""


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "room", "told"),
    [
        (300, 4_000, 1_000, 1_000, False),
        (3_000, 4_000, 1_000, 3_000 - 256, False),
        (300, 1_000, 1_000, 1_000 - 256, True),
    ],
)
def test_there_is_room_for_the_connections(
    soft: int, hard: int, connections: int, room: int, told: bool
) -> None:
    code = ASK.format(soft=soft, hard=hard, connections=connections)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    *lines, last = said.splitlines()
    assert (int(last), any("files.too_few" in line for line in lines)) == (room, told)
