-- +goose Up
-- How many events of a callback nobody here understands.
ALTER TABLE callbacks ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;

-- Webhooks on their way to another program, with all it takes to pass them on.
-- Those that went well are gone; those that were given up keep no body.
CREATE TABLE relays (
    id           uuid PRIMARY KEY, -- that of the callback
    content_type TEXT NOT NULL,
    signature    TEXT NOT NULL,
    body         bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    tries        INTEGER NOT NULL DEFAULT 0,
    due_at       timestamptz, -- of the next try, after the first one
    problem      TEXT NOT NULL DEFAULT '',
    failed_at    timestamptz -- given up
);
CREATE INDEX relays_due ON relays (due_at) WHERE due_at IS NOT NULL;
