"""What the fuzzer found worth keeping, played again: each input reached lines that no other reached."""

from pathlib import Path

from tests.fuzz.script import play

CORPUS = sorted((Path(__file__).parents[1] / "fuzz" / "corpus").iterdir())
SIZE_LIMIT = 300_000


def test_the_corpus_still_breaks_nothing() -> None:
    inputs = [path.read_bytes() for path in CORPUS]
    assert len(inputs) > 200
    assert sum(map(len, inputs)) < SIZE_LIMIT
    for path, data in zip(CORPUS, inputs, strict=True):
        try:
            play(data)
        except Exception as error:
            error.add_note(f"input {path.name}: {data!r}")
            raise
