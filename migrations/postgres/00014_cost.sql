-- +goose Up

-- What a campaign may spend on texts, as it was written; NULL is without limit.
ALTER TABLE campaigns ADD COLUMN budget jsonb;

-- What campaigns have spent on texts, and the most they may. An escalation spends
-- what its campaign may. Amounts are millionths of the currency.
CREATE TABLE budgets (
    campaign_id       uuid PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    most_segments     BIGINT, -- NULL is without limit
    most_amount       BIGINT,
    currency          TEXT NOT NULL DEFAULT '', -- of the amounts; '' while there are none
    waits             BOOLEAN NOT NULL DEFAULT FALSE, -- once it is reached, for more; else people go on to their next lane
    segments          BIGINT NOT NULL DEFAULT 0, -- spent, or handed over at this moment
    amount            BIGINT NOT NULL DEFAULT 0,
    unpriced_segments BIGINT NOT NULL DEFAULT 0, -- of the segments: those without a price
    reached_at        timestamptz -- since then no text goes out
);
INSERT INTO budgets (campaign_id) SELECT id FROM campaigns WHERE state IN ('running', 'paused') AND escalation_of IS NULL;

-- While a batch of a campaign with a budget hands texts over: what it has taken
-- for them may come back.
ALTER TABLE batches ADD COLUMN paying BOOLEAN NOT NULL DEFAULT FALSE;

-- What a segment costs, as the operator wrote it: one row.
CREATE TABLE sms_prices (
    id         SMALLINT PRIMARY KEY CHECK (id = 1),
    currency   TEXT NOT NULL,
    fallback   BIGINT, -- for countries that are not named, in millionths; NULL is none
    countries  jsonb NOT NULL, -- millionths by ISO 3166 code
    updated_at timestamptz NOT NULL
);
