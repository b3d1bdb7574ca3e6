-- +goose Up

-- Wishes to have one's data deleted, and what came of them. Who it was is kept
-- until it is done.
CREATE TABLE deletions (
    id           text PRIMARY KEY,
    code         TEXT NOT NULL UNIQUE, -- what the person asks for how it stands
    source       TEXT NOT NULL CHECK (source IN ('facebook', 'chat')),
    hash         blob NOT NULL UNIQUE, -- keyed: the same wish told again is the same row
    person       blob, -- sealed: a user id of Facebook's, or a PSID; NULL when it is done
    page_id      text, -- with chat
    language     TEXT NOT NULL DEFAULT '', -- with chat: that of the words
    state        TEXT NOT NULL CHECK (state IN ('received', 'done', 'nothing')),
    answer       TEXT NOT NULL DEFAULT '' CHECK (answer IN ('', 'sending', 'sent', 'unknown', 'failed')), -- with chat: what came of telling them
    requested_at timestamp NOT NULL,
    finished_at  timestamp
);
CREATE INDEX deletions_age ON deletions (requested_at);
