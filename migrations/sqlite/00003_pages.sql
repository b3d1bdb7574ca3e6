-- +goose Up

-- What Meta lets a Page do, as far as that is known. A row may be there only to
-- count: its state is unknown then.
CREATE TABLE capabilities (
    page_id  text NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    name     TEXT NOT NULL CHECK (name IN ('one_time', 'recurring', 'utility', 'profile')),
    state    TEXT NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'works', 'off')),
    how      TEXT NOT NULL DEFAULT '' CHECK (how IN ('', 'operator', 'self_test', 'send', 'graph', 'region')),
    known_at timestamp,
    refused  INTEGER NOT NULL DEFAULT 0, -- tokens in a row that were refused as dead, while it is unknown
    PRIMARY KEY (page_id, name)
);
INSERT INTO capabilities (page_id, name, state, how, known_at)
SELECT id, 'one_time', one_time, 'operator', updated_at FROM pages WHERE one_time <> 'unknown';
ALTER TABLE pages DROP COLUMN one_time;

ALTER TABLE pages ADD COLUMN country TEXT NOT NULL DEFAULT ''; -- two letters, ISO 3166
