-- +goose Up

-- What follows when somebody reacts to a campaign; NULL is nothing.
ALTER TABLE campaigns ADD COLUMN follow_up text;

-- One follow-up: once for each campaign and contact.
CREATE TABLE follow_ups (
    id          text PRIMARY KEY,
    campaign_id text NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    contact_id  text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    delivery_id BIGINT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('due', 'thanking', 'asking', 'capturing', 'done', 'skipped')),
    reason      TEXT NOT NULL DEFAULT '', -- why it was skipped, or ended early
    thanks      TEXT NOT NULL DEFAULT '', -- what came of the thanks: an outcome
    provider_id TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    asked       TEXT NOT NULL DEFAULT '', -- what came of asking for a permission: a state, or why not
    captured    TEXT NOT NULL DEFAULT '', -- what came of asking for an address: a state, or why not
    reacted_at  timestamp NOT NULL,
    updated_at  timestamp NOT NULL,
    UNIQUE (campaign_id, contact_id)
);
CREATE INDEX follow_ups_contact ON follow_ups (contact_id);

-- Who told a Page's bot to stop, or to go on again: the newest word counts.
CREATE TABLE stops (
    page_id    text NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    contact_id text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    stopped    BOOLEAN NOT NULL,
    at         timestamp NOT NULL,
    PRIMARY KEY (page_id, contact_id)
);
CREATE INDEX stops_contact ON stops (contact_id);

-- Questions for an e-mail address or a phone number, asked in Messenger.
CREATE TABLE captures (
    id          text PRIMARY KEY,
    contact_id  text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    page_id     text NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    channel     TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    question    text NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('sending', 'asked', 'unknown', 'failed', 'captured', 'conflict', 'declined', 'unanswered', 'expired')),
    tries       SMALLINT NOT NULL DEFAULT 0, -- answers that were no address
    provider_id TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    heard_at    timestamp, -- of the last answer that counted
    asked_at    timestamp NOT NULL,
    expires_at  timestamp NOT NULL,
    updated_at  timestamp NOT NULL
);
CREATE UNIQUE INDEX captures_open ON captures (contact_id, page_id) WHERE state IN ('sending', 'asked', 'unknown');
CREATE INDEX captures_contact ON captures (contact_id);
CREATE INDEX captures_expiry ON captures (expires_at) WHERE state IN ('sending', 'asked', 'unknown');
