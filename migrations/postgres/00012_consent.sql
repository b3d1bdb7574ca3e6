-- +goose Up

-- A STOP, a bounce and a word of the operator's stand beside each other, so that
-- lifting one leaves the others. refused_at is the newest time that it was told for.
ALTER TABLE suppressions ADD COLUMN refused_at timestamptz;
UPDATE suppressions SET refused_at = created_at;
ALTER TABLE suppressions ALTER COLUMN refused_at SET NOT NULL;
ALTER TABLE suppressions DROP CONSTRAINT suppressions_channel_hash_key;
ALTER TABLE suppressions ADD CONSTRAINT suppressions_channel_hash_reason_key UNIQUE (channel, hash, reason);

-- When a suppression was last lifted: what was refused before does not come back.
CREATE TABLE lifts (
    channel   TEXT NOT NULL,
    hash      bytea NOT NULL, -- keyed
    reason    TEXT NOT NULL,
    lifted_at timestamptz NOT NULL,
    PRIMARY KEY (channel, hash, reason)
);

-- Who holds an address of which only the hash is known.
CREATE INDEX contacts_phone_hash ON contacts (phone_hash) WHERE phone_hash IS NOT NULL;
CREATE INDEX contacts_email_hash ON contacts (email_hash) WHERE email_hash IS NOT NULL;

-- Every change of a consent, in the order in which they were written. Of a
-- refusal it is kept what it took the place of.
CREATE TABLE consents (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contact_id   uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    channel      TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    how          TEXT NOT NULL,
    noted_at     timestamptz NOT NULL,
    status       TEXT NOT NULL CHECK (status IN ('', 'subscribed', 'unsubscribed')),
    source       TEXT NOT NULL DEFAULT '',
    at           timestamptz,
    evidence     TEXT NOT NULL DEFAULT '',
    undated      BOOLEAN NOT NULL DEFAULT FALSE,
    was_status   TEXT NOT NULL DEFAULT '',
    was_source   TEXT NOT NULL DEFAULT '',
    was_at       timestamptz,
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
