-- +goose Up

-- Addresses at which a message did not arrive though they may be right: a full
-- mailbox, a phone that is off. Forgotten a year after the last miss.
CREATE TABLE missed_addresses (
    channel TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    hash    bytea NOT NULL, -- keyed, as in suppressions
    since   timestamptz, -- only misses after this count: a message arrived then, or the address was suppressed for those before
    last_at timestamptz NOT NULL,
    PRIMARY KEY (channel, hash)
);
CREATE INDEX missed_addresses_last ON missed_addresses (last_at);

-- What did not arrive there: each message once, however often that is told.
CREATE TABLE misses (
    channel TEXT NOT NULL,
    hash    bytea NOT NULL,
    message TEXT NOT NULL, -- the delivery's number, or else the provider's name for it
    at      timestamptz NOT NULL,
    PRIMARY KEY (channel, hash, message),
    FOREIGN KEY (channel, hash) REFERENCES missed_addresses (channel, hash) ON DELETE CASCADE
);

-- E-mails that people called spam: each once, however often that is told.
CREATE TABLE complaints (
    delivery_id BIGINT PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    weighed     BOOLEAN NOT NULL DEFAULT FALSE -- the campaign's rate was looked at since
);
CREATE INDEX complaints_campaign ON complaints (campaign_id);
CREATE INDEX complaints_open ON complaints (campaign_id) WHERE NOT weighed;

-- When so many of a campaign's e-mails were called spam that mailbox providers act on it.
ALTER TABLE campaigns ADD COLUMN complained_at timestamptz;
