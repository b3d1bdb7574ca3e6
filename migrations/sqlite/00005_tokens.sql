-- +goose Up

-- When somebody was told that the token ends soon.
ALTER TABLE tokens ADD COLUMN noticed_at timestamp;
CREATE INDEX tokens_unnoticed ON tokens (expires_at) WHERE status = 'available' AND noticed_at IS NULL;

-- Pages that Meta lets ask for permission only slowly, or not at all; the others
-- have no row. Sending goes on.
CREATE TABLE page_asking (
    page_id    text PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
    code       TEXT NOT NULL DEFAULT '', -- Graph's, of the last refusal
    stopped_at timestamp,
    slow_until timestamp,
    wait       INTEGER NOT NULL DEFAULT 0, -- seconds of the last pause
    updated_at timestamp NOT NULL
);

-- Tries, with somebody who runs the Page, of what Meta lets it do.
CREATE TABLE self_tests (
    id          text PRIMARY KEY,
    page_id     text NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    contact_id  text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    capability  TEXT NOT NULL CHECK (capability IN ('one_time', 'recurring', 'utility')),
    state       TEXT NOT NULL CHECK (state IN ('asking', 'waiting', 'sending', 'passed', 'failed', 'timed_out')),
    code        TEXT NOT NULL DEFAULT '', -- Graph's
    detail      TEXT NOT NULL DEFAULT '',
    token       blob, -- sealed; kept until it is used, and no campaign's
    sent_at     timestamp, -- written down before the message goes out
    provider_id TEXT NOT NULL DEFAULT '',
    asked_at    timestamp NOT NULL,
    updated_at  timestamp NOT NULL
);
CREATE INDEX self_tests_page ON self_tests (page_id, id);
CREATE INDEX self_tests_open ON self_tests (asked_at) WHERE state IN ('asking', 'waiting', 'sending');
