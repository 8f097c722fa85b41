-- A station is known by its OCPP identity, which is case-insensitive.
CREATE TABLE station (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE
);

-- The state of a station, as a set of small records.
CREATE TABLE record (
    station INTEGER NOT NULL,
    kind    TEXT NOT NULL,
    key     TEXT NOT NULL,
    body    BLOB NOT NULL CHECK (typeof(body) = 'blob'),
    PRIMARY KEY (station, kind, key)
) WITHOUT ROWID;

-- What waits to be told, in the order of its telling.
CREATE TABLE outbox (
    station  INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body     BLOB NOT NULL CHECK (typeof(body) = 'blob'),
    PRIMARY KEY (station, position)
) WITHOUT ROWID;
