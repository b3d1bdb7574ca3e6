-- +goose Up

-- Wishes to have one's data deleted, and what came of them. Who it was is kept
-- until it is done.
CREATE TABLE deletions (
    id           uuid PRIMARY KEY,
    code         TEXT NOT NULL UNIQUE, -- what the person asks for how it stands
    source       TEXT NOT NULL CHECK (source IN ('facebook', 'chat')),
    hash         bytea NOT NULL UNIQUE, -- keyed: the same wish told again is the same row
    person       bytea, -- sealed: a user id of Facebook's, or a PSID; NULL when it is done
    page_id      uuid, -- with chat
    language     TEXT NOT NULL DEFAULT '', -- with chat: that of the words
    state        TEXT NOT NULL CHECK (state IN ('received', 'done', 'nothing')),
    answer       TEXT NOT NULL DEFAULT '' CHECK (answer IN ('', 'sending', 'sent', 'unknown', 'failed')), -- with chat: what came of telling them
    requested_at timestamptz NOT NULL,
    finished_at  timestamptz
);
CREATE INDEX deletions_age ON deletions (requested_at);
