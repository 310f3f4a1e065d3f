"""Who is alone in the room is alone, the others are there together, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.alone import Room

NAMES = ["a", "b", "alone 1", "c", "d", "alone 2", "e", "f", "alone 3"]


def test_who_is_alone_meets_nobody() -> None:
    run, inside, met = uuid4().hex, set[str](), list[set[str]]()
    looking, nothing = threading.Lock(), threading.Event()

    def visit(name: str, room: Room) -> None:
        with room.entered(alone=name.startswith("alone")):
            with looking:
                inside.add(name)
                met.append({*inside})
            nothing.wait(0.05)  # for whoever comes
            with looking:
                inside.remove(name)

    rooms = [Room(run) for _ in NAMES]
    with ThreadPoolExecutor(len(NAMES)) as visitors:
        list(visitors.map(visit, NAMES, rooms))
    for room in rooms:
        room.leave()
    assert len(met) == len(NAMES)
    assert any(len(names) > 1 for names in met), "the others are together"
    assert all(len(names) == 1 for names in met if any(name.startswith("alone") for name in names))
