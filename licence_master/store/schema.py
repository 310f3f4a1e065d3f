"""The tables of ledger.db: the hash-chained ledger, and beside it what may be lost or pruned."""

# Ledger: events are only appended, and only under the highest term (a second writer is fenced here).
LEDGER = """
CREATE TABLE meta (
  only     INTEGER PRIMARY KEY CHECK (only = 1),
  instance TEXT NOT NULL,
  term     INTEGER NOT NULL
);
CREATE TABLE event (
  seq    INTEGER PRIMARY KEY,
  term   INTEGER NOT NULL,
  at_ms  INTEGER NOT NULL,
  actor  TEXT NOT NULL,
  body   BLOB NOT NULL,
  hash   BLOB NOT NULL
);
CREATE TRIGGER event_fenced BEFORE INSERT ON event
  WHEN NEW.term IS NOT (SELECT term FROM meta) BEGIN SELECT RAISE(ABORT, 'term_old'); END;
CREATE TRIGGER event_kept BEFORE UPDATE ON event BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER term_rises BEFORE UPDATE ON meta
  WHEN NEW.term <= OLD.term BEGIN SELECT RAISE(ABORT, 'term_old'); END;

CREATE TABLE answer (
  agent             TEXT PRIMARY KEY,
  term              INTEGER NOT NULL,
  seq               INTEGER NOT NULL,
  request_hash      BLOB NOT NULL,
  request_signature TEXT NOT NULL,
  status            INTEGER NOT NULL,
  body              BLOB NOT NULL,
  signature         TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER answer_fenced BEFORE INSERT ON answer
  WHEN NEW.term IS NOT (SELECT term FROM meta) BEGIN SELECT RAISE(ABORT, 'term_old'); END;

-- What is remembered of an agent's messages (licensing.lender.contact), as JSON.
CREATE TABLE contact (
  agent TEXT PRIMARY KEY,
  body  BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE invite (
  id         TEXT PRIMARY KEY,
  hash       BLOB NOT NULL,
  pbx        TEXT NOT NULL,
  expires_ms INTEGER NOT NULL,
  tries_left INTEGER NOT NULL,
  used_ms    INTEGER
) WITHOUT ROWID;

CREATE TABLE token (
  id         TEXT PRIMARY KEY,
  hash       BLOB NOT NULL,
  role       TEXT NOT NULL,
  label      TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL,
  revoked_ms INTEGER
) WITHOUT ROWID;
"""

# Activity: who held what when. Telemetry, never part of safety; it may be pruned and erased.
ACTIVITY = """
CREATE TABLE activity (
  id       INTEGER PRIMARY KEY,
  agent    TEXT NOT NULL,
  n        INTEGER NOT NULL,
  at_ms    INTEGER NOT NULL,
  object   TEXT NOT NULL,
  kind     TEXT NOT NULL,
  class    TEXT NOT NULL,
  event    TEXT NOT NULL,
  code     TEXT,
  until_ms INTEGER
);
CREATE INDEX activity_of_object ON activity (object, at_ms);

CREATE TABLE seen (
  agent        TEXT PRIMARY KEY,
  at_ms        INTEGER NOT NULL,
  ack_activity INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE holder (
  agent    TEXT NOT NULL,
  class    TEXT NOT NULL,
  object   TEXT NOT NULL,
  state    TEXT NOT NULL,
  since_ms INTEGER NOT NULL,
  PRIMARY KEY (agent, class, object)
) WITHOUT ROWID;

CREATE TABLE denial (
  id       INTEGER PRIMARY KEY,
  agent    TEXT NOT NULL,
  class    TEXT NOT NULL,
  code     TEXT NOT NULL,
  first_ms INTEGER NOT NULL,
  last_ms  INTEGER NOT NULL,
  times    INTEGER NOT NULL,
  detail   BLOB NOT NULL
);
CREATE INDEX denial_by_time ON denial (last_ms);
"""

# Where the store was served last (store.home).
HOME = """
CREATE TABLE home (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  place TEXT NOT NULL
);
"""

# Who signs in at the console, and when a token was last used.
PEOPLE = """
CREATE TABLE person (
  name       TEXT PRIMARY KEY,
  role       TEXT NOT NULL,
  password   TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  changed_ms INTEGER NOT NULL,
  seen_ms    INTEGER
) WITHOUT ROWID;
ALTER TABLE token ADD COLUMN used_ms INTEGER;
"""

# Who holds what after the event `upto` of the activity, a row for each agent; later events say the rest.
# With a rowid: to find a key in a table without, SQLite reads the whole of each row it passes.
HOLDING = """
CREATE TABLE holding (
  agent TEXT PRIMARY KEY,
  upto  INTEGER NOT NULL,
  body  BLOB NOT NULL
);
INSERT INTO holding
  SELECT
    agent,
    (SELECT coalesce(max(id), 0) FROM activity),
    CAST(json_group_array(json_array(agent, class, object, state, since_ms)) AS BLOB)
  FROM holder GROUP BY agent;
DROP TABLE holder;
"""

# The newest state, to start from (store.snapshot); it may be lost.
SNAPSHOT = """
CREATE TABLE snapshot (
  only     INTEGER PRIMARY KEY CHECK (only = 1),
  position INTEGER NOT NULL,
  head     BLOB NOT NULL,
  rules    TEXT NOT NULL,
  digest   BLOB NOT NULL,
  body     BLOB NOT NULL
);
"""

# Who had the units when something was denied (as JSON; null before this), and who was refused.
DENIALS = """
ALTER TABLE denial ADD COLUMN held BLOB;
CREATE INDEX activity_refused ON activity (agent, class, at_ms) WHERE event IN ('refused', 'reported');
"""

# Hourly peaks, made of the activity and kept longer than it (store.peaks); hours count from 1970.
PEAKS = """
CREATE TABLE peak (
  hour    INTEGER NOT NULL,
  site    TEXT NOT NULL,
  pool    TEXT NOT NULL,
  peak    INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  PRIMARY KEY (hour, site, pool)
) WITHOUT ROWID;
CREATE TABLE standing (
  hour INTEGER PRIMARY KEY,
  low  INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE rolled (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  upto INTEGER NOT NULL,
  hour INTEGER NOT NULL
);
"""

# Who holds what, as store.activity.Holders by class. Names stay JSON text: taken out of it, SQLite 3.40 ends
# them at a NUL.
HOLDERS = """
UPDATE holding SET body = (
  SELECT
    CAST('{' || coalesce(group_concat(class || ':[{' || held || '},{' || surplus || '}]'), '') || '}' AS BLOB)
  FROM (
    SELECT
      value -> '$[1]' AS class,
      coalesce(group_concat((value -> '$[2]') || ':' || (value -> '$[4]'))
        FILTER (WHERE value ->> '$[3]' = 'held'), '') AS held,
      coalesce(group_concat((value -> '$[2]') || ':' || (value -> '$[4]'))
        FILTER (WHERE value ->> '$[3]' = 'surplus'), '') AS surplus
    FROM json_each(CAST(body AS TEXT)) GROUP BY class
  )
);
"""

MIGRATIONS = (LEDGER + ACTIVITY, HOME, PEOPLE, HOLDING, SNAPSHOT, DENIALS, PEAKS, HOLDERS)
