"""billing.db: records each once with their local day, what was rated, and a chain of what was issued.

`entry` and `document` are never changed: triggers refuse it, and each entry's hash has the one before in it.
"""

from typing import Final

MIGRATIONS: Final = (
    """
CREATE TABLE stamp (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  at_ms INTEGER NOT NULL               -- the last one given: a clock set back decides nothing
);
CREATE TABLE record (
  source         TEXT NOT NULL,
  call_ref       TEXT NOT NULL,
  leg            TEXT NOT NULL,
  pbx            TEXT NOT NULL,
  direction      TEXT NOT NULL,
  kind           TEXT NOT NULL,
  caller         TEXT NOT NULL,
  called         TEXT NOT NULL,
  dialled        TEXT NOT NULL,
  account        TEXT NOT NULL,
  setup_ms       INTEGER NOT NULL,
  answer_ms      INTEGER,
  end_ms         INTEGER NOT NULL,
  talk_s         INTEGER NOT NULL,
  cause          INTEGER,
  forwarded_by   TEXT NOT NULL,
  transferred_by TEXT NOT NULL,
  hash           BLOB NOT NULL,        -- of what decides price and identity
  customer       TEXT NOT NULL,        -- '': nobody's yet
  day            INTEGER NOT NULL,     -- local one of the customer, proleptic ordinal
  period         INTEGER NOT NULL,     -- its month, yyyymm
  landing        INTEGER NOT NULL,     -- the month on whose invoice it goes
  received_ms    INTEGER NOT NULL,
  PRIMARY KEY (source, call_ref, leg)
) WITHOUT ROWID;
CREATE INDEX record_by_period ON record (customer, period);
CREATE INDEX record_by_landing ON record (landing, customer, period);
CREATE TABLE quarantine (
  digest   BLOB PRIMARY KEY,           -- the same thing once more is only counted
  at_ms    INTEGER NOT NULL,
  reason   TEXT NOT NULL,
  detail   TEXT NOT NULL,
  record   TEXT NOT NULL               -- as it came
) WITHOUT ROWID;
CREATE TABLE arrival (
  id         INTEGER PRIMARY KEY,
  at_ms      INTEGER NOT NULL,
  file       TEXT NOT NULL,
  received   INTEGER NOT NULL,
  new        INTEGER NOT NULL,
  duplicate  INTEGER NOT NULL,
  quarantine INTEGER NOT NULL
);
CREATE TABLE rating (
  landing  INTEGER NOT NULL,
  customer TEXT NOT NULL,
  digest   TEXT NOT NULL,              -- SHA-256 of all rows of rated and waiting
  body     BLOB NOT NULL,
  PRIMARY KEY (landing, customer)
) WITHOUT ROWID;
CREATE TABLE rated (
  landing   INTEGER NOT NULL,
  customer  TEXT NOT NULL,
  key       TEXT NOT NULL,
  level     TEXT NOT NULL,
  class     TEXT NOT NULL,
  tariff    TEXT NOT NULL,             -- '': no row is needed
  place     TEXT NOT NULL,             -- file:line of the row
  billed_s  INTEGER NOT NULL,
  inside_s  INTEGER NOT NULL,
  price     INTEGER NOT NULL,          -- micro-euro
  PRIMARY KEY (landing, customer, key, level)
) WITHOUT ROWID;
CREATE TABLE waiting (
  landing  INTEGER NOT NULL,
  customer TEXT NOT NULL,
  key      TEXT NOT NULL,
  reason   TEXT NOT NULL,
  detail   TEXT NOT NULL,
  PRIMARY KEY (landing, customer, key)
) WITHOUT ROWID;
CREATE TABLE source_file (
  digest  TEXT PRIMARY KEY,
  content BLOB NOT NULL                -- configuration and tariffs as they stood at a close
) WITHOUT ROWID;
CREATE TABLE entry (
  seq  INTEGER PRIMARY KEY,
  body BLOB NOT NULL,
  hash BLOB NOT NULL
);
CREATE TABLE document (
  number   TEXT PRIMARY KEY,
  seq      INTEGER NOT NULL REFERENCES entry (seq),
  customer TEXT NOT NULL,
  period   INTEGER NOT NULL,
  corrects TEXT NOT NULL,
  body     BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX document_by_period ON document (period, customer);
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT RAISE(ABORT, 'what is issued stays'); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry BEGIN SELECT RAISE(ABORT, 'what is issued stays'); END;
CREATE TRIGGER document_stays BEFORE UPDATE ON document
  BEGIN SELECT RAISE(ABORT, 'what is issued stays'); END;
CREATE TRIGGER document_kept BEFORE DELETE ON document
  BEGIN SELECT RAISE(ABORT, 'what is issued stays'); END;
""",
)
