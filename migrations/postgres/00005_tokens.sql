-- +goose Up

-- When somebody was told that the token ends soon.
ALTER TABLE tokens ADD COLUMN noticed_at timestamptz;
CREATE INDEX tokens_unnoticed ON tokens (expires_at) WHERE status = 'available' AND noticed_at IS NULL;

-- Pages that Meta lets ask for permission only slowly, or not at all; the others
-- have no row. Sending goes on.
CREATE TABLE page_asking (
    page_id    uuid PRIMARY KEY REFERENCES pages (id) ON DELETE CASCADE,
    code       TEXT NOT NULL DEFAULT '', -- Graph's, of the last refusal
    stopped_at timestamptz,
    slow_until timestamptz,
    wait       INTEGER NOT NULL DEFAULT 0, -- seconds of the last pause
    updated_at timestamptz NOT NULL
);

-- Tries, with somebody who runs the Page, of what Meta lets it do.
CREATE TABLE self_tests (
    id          uuid PRIMARY KEY,
    page_id     uuid NOT NULL REFERENCES pages (id) ON DELETE CASCADE,
    contact_id  uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    capability  TEXT NOT NULL CHECK (capability IN ('one_time', 'recurring', 'utility')),
    state       TEXT NOT NULL CHECK (state IN ('asking', 'waiting', 'sending', 'passed', 'failed', 'timed_out')),
    code        TEXT NOT NULL DEFAULT '', -- Graph's
    detail      TEXT NOT NULL DEFAULT '',
    token       bytea, -- sealed; kept until it is used, and no campaign's
    sent_at     timestamptz, -- written down before the message goes out
    provider_id TEXT NOT NULL DEFAULT '',
    asked_at    timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX self_tests_page ON self_tests (page_id, id);
CREATE INDEX self_tests_open ON self_tests (asked_at) WHERE state IN ('asking', 'waiting', 'sending');

-- People whose profile at Messenger is to be read once, because nobody gave us
-- their name.
CREATE TABLE profile_fetches (
    page_id    uuid NOT NULL,
    psid       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('due', 'done', 'none')), -- none: there is nothing to read
    tries      INTEGER NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL, -- while one is being read: when another may try
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (page_id, psid),
    FOREIGN KEY (page_id, psid) REFERENCES messenger_addresses (page_id, psid) ON DELETE CASCADE
);
CREATE INDEX profile_fetches_due ON profile_fetches (page_id, due_at) WHERE state = 'due';
