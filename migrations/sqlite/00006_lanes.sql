-- +goose Up

-- Permission to send a Messenger message for a topic again and again: at most
-- one in 48 hours, until it ends or the person stops it.
CREATE TABLE recurring_tokens (
    id              text PRIMARY KEY,
    contact_id      text REFERENCES contacts (id) ON DELETE CASCADE, -- NULL: the person stopped it before they were heard of
    page_id         text NOT NULL REFERENCES pages (id),
    topic           TEXT NOT NULL REFERENCES topics (slug),
    value           blob NOT NULL, -- sealed
    value_hash      blob NOT NULL, -- keyed
    status          TEXT NOT NULL CHECK (status IN ('live', 'stopped', 'void', 'missing')),
    status_at       timestamp NOT NULL, -- when the newest word about it was said
    source          TEXT NOT NULL,
    title           TEXT NOT NULL DEFAULT '',
    granted_at      timestamp NOT NULL,
    renewed_at      timestamp,
    expires_at      timestamp, -- NULL: nobody said
    eligible_at     timestamp NOT NULL, -- it may be used from then on
    eligible_before timestamp, -- while it is held: what eligible_at was
    held_by         BIGINT, -- the delivery that goes out with it now
    listed_at       timestamp, -- when the Page's own list named it last
    updated_at      timestamp NOT NULL,
    UNIQUE (page_id, value_hash)
);
CREATE INDEX recurring_tokens_contact ON recurring_tokens (contact_id, page_id, topic);
CREATE INDEX recurring_tokens_page ON recurring_tokens (page_id, status);
CREATE UNIQUE INDEX recurring_tokens_held ON recurring_tokens (held_by) WHERE held_by IS NOT NULL;

-- The last time that a Page's own list of recurring tokens was read.
CREATE TABLE recurring_syncs (
    page_id     text PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
    state       TEXT NOT NULL CHECK (state IN ('running', 'finished', 'failed')),
    cursor      TEXT NOT NULL DEFAULT '', -- where the next part of the list begins
    listed      INTEGER NOT NULL DEFAULT 0,
    code        TEXT NOT NULL DEFAULT '', -- Meta's, when it refused
    started_at  timestamp NOT NULL,
    finished_at timestamp
);

ALTER TABLE opt_in_requests ADD COLUMN kind TEXT NOT NULL DEFAULT 'one_time' CHECK (kind IN ('one_time', 'recurring'));

-- The utility templates of a Page, as Meta knows them.
CREATE TABLE message_templates (
    id         text PRIMARY KEY,
    page_id    text NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    graph_id   TEXT NOT NULL DEFAULT '', -- '' until Meta gave one
    name       TEXT NOT NULL,
    language   TEXT NOT NULL,
    category   TEXT NOT NULL,
    status     TEXT NOT NULL, -- Meta's word in lower case
    reason     TEXT NOT NULL DEFAULT '',
    components text NOT NULL DEFAULT '[]',
    status_at  timestamp NOT NULL, -- when Meta said the status
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    UNIQUE (page_id, name, language)
);

-- Said of a campaign: it tells people of something they asked for, and
-- advertises nothing.
ALTER TABLE campaigns ADD COLUMN transactional BOOLEAN NOT NULL DEFAULT FALSE;
