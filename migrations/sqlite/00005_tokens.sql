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

