"""What the spool dropped after delivery, by batch: lost when a master comes back with an older memory."""

from typing import Final

from runtime.store import Statement

MIGRATION: Final = """
    CREATE TABLE dropped (
        batch INTEGER NOT NULL, source TEXT NOT NULL, count INTEGER NOT NULL,
        PRIMARY KEY (batch, source)) STRICT, WITHOUT ROWID;
    CREATE TABLE lost (source TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE INDEX batch_last ON batch (last);
    """

LOST: Final = "SELECT source, count FROM lost"

_NOTE: Final = """
    INSERT INTO dropped (batch, source, count)
    SELECT (SELECT number FROM batch WHERE last >= n ORDER BY last, number LIMIT 1), source, count(*)
    FROM entry WHERE n IN (
        SELECT n FROM entry WHERE taken_ms < ?1 AND n <= ?2 ORDER BY taken_ms, n LIMIT ?3)
    GROUP BY 1, 2
    ON CONFLICT (batch, source) DO UPDATE SET count = count + excluded.count"""
_PRUNE: Final = """
    DELETE FROM entry WHERE n IN (
        SELECT n FROM entry WHERE taken_ms < ?1 AND n <= ?2 ORDER BY taken_ms, n LIMIT ?3)"""
_FOLD: Final = """
    INSERT INTO dropped (batch, source, count)
    SELECT ?1, source, sum(count) FROM dropped WHERE batch < ?1 GROUP BY source
    ON CONFLICT (batch, source) DO UPDATE SET count = count + excluded.count"""
_FORGET_FOLDED: Final = "DELETE FROM dropped WHERE batch < ?"
_LOSE: Final = """
    INSERT INTO lost (source, count)
    SELECT source, sum(count) FROM dropped WHERE batch > ? GROUP BY source
    ON CONFLICT (source) DO UPDATE SET count = count + excluded.count"""
_FORGET: Final = "DELETE FROM dropped WHERE batch > ?"


def pruned(before_ms: int, up_to: int, most: int) -> list[Statement]:
    """Drop the oldest entries that came before this, up to this one, and note of which batches they were."""
    row = (before_ms, up_to, most)
    return [(_NOTE, [row]), (_PRUNE, [row])]


def aged(number: int) -> list[Statement]:
    """Batches before this one are forgotten: what was dropped of them counts as of this one."""
    return [(_FOLD, [(number,)]), (_FORGET_FOLDED, [(number,)])]


def rewound(number: int) -> list[Statement]:
    """The master has the batches up to this one: what was dropped of later ones is nowhere any more."""
    return [(_LOSE, [(number,)]), *renamed(number)]


def renamed(number: int) -> list[Statement]:
    """Numbers behind this one are given anew."""
    return [(_FORGET, [(number,)])]
