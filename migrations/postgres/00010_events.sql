-- +goose Up

-- When people last said something in Messenger: a return by a personal link may
-- become known after it. Forgotten after a week.
CREATE TABLE replies (
    contact_id uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    PRIMARY KEY (contact_id, at)
);
CREATE INDEX replies_at ON replies (at);
