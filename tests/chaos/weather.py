"""What a bad network does to one datagram or one piece of a stream, drawn from a seed; pure.

Everything is said per direction: `there` is from the one who asks to the one who is asked, `back` the answer.
"""

import random

import msgspec

REORDERED_MS = 60  # a reordered datagram is passed by all that come within this time
RETRANSMIT_MS = 200  # the first retransmission of TCP; each further one takes twice as long
MOST_RETRANSMISSIONS = 6


class Weather(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction: chances from 0 to 1, milliseconds, bytes a second (0: no limit).

    `cut`: nothing passes. Datagrams are lost then, a stream waits for the end of it, as TCP does.
    `silent`: streams that are opened now are accepted and never hear anything, even when it is over.
    `deaf`: nothing is read from the sender, so its own buffer fills.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_ms: tuple[int, int] = (0, 0)
    bytes_per_s: int = 0
    cut: bool = False
    silent: bool = False
    deaf: bool = False


CALM = Weather()
CUT = Weather(cut=True)


class Fate:
    """Draws what happens to each datagram and each piece of a stream; the same seed draws the same."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def datagram(self, weather: Weather) -> list[int]:
        """After how many milliseconds each copy of it arrives: none when it is lost, two when doubled."""
        if weather.cut or self._random.random() < weather.loss:
            return []
        copies = 2 if self._random.random() < weather.duplicate else 1
        return [self._delay(weather) for _ in range(copies)]

    def segment(self, weather: Weather, size: int) -> int:
        """After how many milliseconds a piece of a stream arrives: loss is a wait for TCP to repeat it."""
        wait_ms = self._random.randint(*weather.delay_ms)
        for repeat in range(MOST_RETRANSMISSIONS):
            if self._random.random() >= weather.loss:
                break
            wait_ms += RETRANSMIT_MS << repeat
        return wait_ms + (1_000 * size // weather.bytes_per_s if weather.bytes_per_s else 0)

    def _delay(self, weather: Weather) -> int:
        late = REORDERED_MS if self._random.random() < weather.reorder else 0
        return self._random.randint(*weather.delay_ms) + late
