-- +goose Up

-- A STOP, a bounce and a word of the operator's stand beside each other, so that
-- lifting one leaves the others. refused_at is the newest time that it was told for.
CREATE TABLE suppressions_new (
    id         text PRIMARY KEY,
    channel    TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    hash       blob NOT NULL, -- keyed
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL DEFAULT '',
    created_at timestamp NOT NULL,
    refused_at timestamp NOT NULL,
    UNIQUE (channel, hash, reason)
);
INSERT INTO suppressions_new (id, channel, hash, reason, source, created_at, refused_at)
SELECT id, channel, hash, reason, source, created_at, created_at FROM suppressions;
DROP TABLE suppressions;
ALTER TABLE suppressions_new RENAME TO suppressions;

-- When a suppression was last lifted: what was refused before does not come back.
CREATE TABLE lifts (
    channel   TEXT NOT NULL,
    hash      blob NOT NULL, -- keyed
    reason    TEXT NOT NULL,
    lifted_at timestamp NOT NULL,
    PRIMARY KEY (channel, hash, reason)
);

-- Who holds an address of which only the hash is known.
CREATE INDEX contacts_phone_hash ON contacts (phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX contacts_email_hash ON contacts (email_hash) WHERE email_hash IS NOT NULL;

-- Every change of a consent, in the order in which they were written. Of a
-- refusal it is kept what it took the place of.
CREATE TABLE consents (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    contact_id   text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel      TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    how          TEXT NOT NULL,
    noted_at     timestamp NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('', 'subscribed', 'unsubscribed')),
    source       TEXT NOT NULL DEFAULT '',
    at           timestamp,
    evidence     TEXT NOT NULL DEFAULT '',
    undated      BOOLEAN NOT NULL DEFAULT FALSE,
    was_status   TEXT NOT NULL DEFAULT '',
    was_source   TEXT NOT NULL DEFAULT '',
    was_at       timestamp,
    was_evidence TEXT NOT NULL DEFAULT '',
    was_undated  BOOLEAN NOT NULL DEFAULT FALSE
);
INSERT INTO consents (contact_id, channel, how, noted_at, status, source, at, evidence)
SELECT id, 'sms', 'before', updated_at, sms_consent_status, sms_consent_source, sms_consent_at, sms_consent_evidence
FROM contacts WHERE sms_consent_status <> '';
INSERT INTO consents (contact_id, channel, how, noted_at, status, source, at, evidence)
SELECT id, 'email', 'before', updated_at, email_consent_status, email_consent_source, email_consent_at, email_consent_evidence
FROM contacts WHERE email_consent_status <> '';
CREATE INDEX consents_contact ON consents (contact_id, id);

-- What an import is a file of: contacts or suppressions.
ALTER TABLE imports ADD COLUMN kind TEXT NOT NULL DEFAULT 'contacts';

-- A yes from a file that told no time: at is when it came in, and an opt-out of whatever time undoes it.
ALTER TABLE contacts ADD COLUMN sms_consent_undated BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE contacts ADD COLUMN email_consent_undated BOOLEAN NOT NULL DEFAULT FALSE;
