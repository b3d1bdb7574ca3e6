-- +goose Up

-- Countries to which the SMS provider sends nothing for a campaign: nobody there is
-- tried any more.
CREATE TABLE closed_countries (
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    country     TEXT NOT NULL, -- ISO 3166
    code        TEXT NOT NULL, -- the provider's
    closed_at   timestamptz NOT NULL,
    PRIMARY KEY (campaign_id, country)
);

-- How many texts of a campaign carriers filtered out.
CREATE TABLE filtered_texts (
    campaign_id uuid PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    texts       INTEGER NOT NULL,
    look_at     INTEGER NOT NULL -- with so many, it is counted what share of all that is
);
