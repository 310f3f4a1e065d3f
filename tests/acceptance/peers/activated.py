"""Hands open sockets to a program as systemd does: `activated.py FD,FD… COMMAND…` becomes COMMAND.

The sockets stay open in the process that made them, so they outlive the program (sd_listen_fds(3)).
"""

import os
import sys
from fcntl import F_DUPFD, fcntl

FIRST_DESCRIPTOR = 3


def become(descriptors: list[int], command: list[str]) -> None:
    """Put the sockets where the program looks for them, say so in its environment, and run it."""
    # Out of the way first: a place may be the source of another one.
    high = [fcntl(descriptor, F_DUPFD, FIRST_DESCRIPTOR + len(descriptors)) for descriptor in descriptors]
    for place, descriptor in enumerate(high, FIRST_DESCRIPTOR):
        os.dup2(descriptor, place)
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(high))}
    names = {"LISTEN_FDNAMES": ":".join(["pbx-agent.socket"] * len(high))}
    os.execve(command[0], command, {**os.environ, **told, **names})


if __name__ == "__main__":
    become([int(number) for number in sys.argv[1].split(",")], sys.argv[2:])
