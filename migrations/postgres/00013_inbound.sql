-- +goose Up

-- Texts from people. The provider's id tells one that comes again.
CREATE TABLE texts (
    id          uuid PRIMARY KEY,
    mid         TEXT NOT NULL UNIQUE,
    contact_id  uuid REFERENCES contacts (id) ON DELETE CASCADE, -- NULL: nobody held the number
    wish        TEXT NOT NULL CHECK (wish IN ('', 'stop', 'start', 'help', 'review')), -- '' is none that is known
    attachments SMALLINT NOT NULL DEFAULT 0,
    body        bytea, -- sealed; only where texts are kept
    at          timestamptz NOT NULL
);
CREATE INDEX texts_contact ON texts (contact_id, id) WHERE contact_id IS NOT NULL;
CREATE INDEX texts_nobody ON texts (id) WHERE contact_id IS NULL;

-- What happened with one person, newest first.
CREATE INDEX events_contact ON events (contact_id, id) WHERE contact_id IS NOT NULL;
