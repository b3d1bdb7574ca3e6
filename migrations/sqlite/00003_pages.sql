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
ALTER TABLE pages ADD COLUMN quiet_hours INTEGER NOT NULL DEFAULT 24; -- without an event before somebody is told; 0 is never

-- How a Page stands with Meta, as far as it was seen.
CREATE TABLE page_health (
    page_id             text PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
    checked_at          timestamp,
    check_code          TEXT NOT NULL DEFAULT '', -- what stood in the way of the last check
    token_trouble       TEXT NOT NULL DEFAULT '' CHECK (token_trouble IN ('', 'other_page', 'other_app')),
    token_expires_at    timestamp,
    data_access_ends_at timestamp,
    scopes_missing      TEXT NOT NULL DEFAULT '', -- separated by commas
    fields_missing      TEXT NOT NULL DEFAULT '', -- of the webhook, separated by commas
    fields_checked_at   timestamp,
    repaired_at         timestamp,
    get_started         TEXT NOT NULL DEFAULT '' CHECK (get_started IN ('', 'set', 'missing')),
    last_event_at       timestamp,
    quiet_since         timestamp,
    policy              TEXT NOT NULL DEFAULT '' CHECK (policy IN ('', 'warning', 'block', 'unblock')),
    policy_reason       TEXT NOT NULL DEFAULT '',
    policy_at           timestamp,
    load                INTEGER NOT NULL DEFAULT 0, -- percent of Graph's limits
    load_at             timestamp,
    told                TEXT NOT NULL DEFAULT '' -- problems that were told of, separated by commas
);
INSERT INTO page_health (page_id) SELECT id FROM pages;
