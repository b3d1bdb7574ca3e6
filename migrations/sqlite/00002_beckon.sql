-- +goose Up

-- A Facebook Page whose bot we drive.
CREATE TABLE pages (
    id               text PRIMARY KEY,
    facebook_page_id TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    username         TEXT NOT NULL DEFAULT '',
    time_zone        TEXT NOT NULL DEFAULT '', -- IANA name
    access_token     blob NOT NULL, -- sealed
    one_time         TEXT NOT NULL DEFAULT 'unknown' CHECK (one_time IN ('unknown', 'works', 'off')),
    token_health     TEXT NOT NULL DEFAULT 'unknown' CHECK (token_health IN ('unknown', 'works', 'refused')),
    created_at       timestamp NOT NULL,
    updated_at       timestamp NOT NULL
);

-- What a permission is asked for.
CREATE TABLE topics (
    slug       TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    payloads   text NOT NULL DEFAULT '[]',
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
INSERT INTO topics (slug, title, created_at, updated_at)
VALUES ('unsorted', 'Unsorted', '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');

-- A person the business knows. Phone and e-mail have one owner each; their
-- hashes are what suppressions are kept under.
CREATE TABLE contacts (
    id                     text PRIMARY KEY,
    external_id            TEXT UNIQUE,
    first_name             TEXT NOT NULL DEFAULT '',
    last_name              TEXT NOT NULL DEFAULT '',
    locale                 TEXT NOT NULL DEFAULT '',
    time_zone              TEXT NOT NULL DEFAULT '',
    attributes             text NOT NULL DEFAULT '{}',
    phone                  TEXT UNIQUE,
    phone_hash             blob,
    email                  TEXT UNIQUE,
    email_hash             blob,
    sms_consent_status     TEXT NOT NULL DEFAULT '' CHECK (sms_consent_status IN ('', 'subscribed', 'unsubscribed')),
    sms_consent_source     TEXT NOT NULL DEFAULT '',
    sms_consent_at         timestamp,
    sms_consent_evidence   TEXT NOT NULL DEFAULT '',
    email_consent_status   TEXT NOT NULL DEFAULT '' CHECK (email_consent_status IN ('', 'subscribed', 'unsubscribed')),
    email_consent_source   TEXT NOT NULL DEFAULT '',
    email_consent_at       timestamp,
    email_consent_evidence TEXT NOT NULL DEFAULT '',
    created_at             timestamp NOT NULL,
    updated_at             timestamp NOT NULL
);

-- Where a contact can be reached on a Page, and when they last acted there.
CREATE TABLE messenger_addresses (
    page_id        text NOT NULL REFERENCES pages (id),
    psid           TEXT NOT NULL,
    contact_id     text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    last_action_at timestamp,
    blocked_at     timestamp,
    created_at     timestamp NOT NULL,
    PRIMARY KEY (page_id, psid),
    UNIQUE (contact_id, page_id)
);

-- An address that must not be sent to, whoever holds it.
CREATE TABLE suppressions (
    id         text PRIMARY KEY,
    channel    TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    hash       blob NOT NULL, -- keyed
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL DEFAULT '',
    created_at timestamp NOT NULL,
    UNIQUE (channel, hash)
);

-- Permission to send one Messenger message for a topic, once, within a year.
CREATE TABLE tokens (
    id          text PRIMARY KEY,
    contact_id  text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    page_id     text NOT NULL REFERENCES pages (id),
    topic       TEXT NOT NULL REFERENCES topics (slug),
    value       blob NOT NULL, -- sealed
    value_hash  blob NOT NULL, -- keyed
    status      TEXT NOT NULL CHECK (status IN ('available', 'reserved', 'spent', 'expired', 'void')),
    source      TEXT NOT NULL,
    granted_at  timestamp NOT NULL,
    expires_at  timestamp NOT NULL,
    delivery_id BIGINT,
    updated_at  timestamp NOT NULL,
    UNIQUE (page_id, value_hash)
);
CREATE INDEX tokens_available ON tokens (contact_id, page_id, topic, granted_at, id) WHERE status = 'available';
CREATE INDEX tokens_contact ON tokens (contact_id);
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE status = 'available';
CREATE UNIQUE INDEX tokens_reserved ON tokens (delivery_id) WHERE status = 'reserved';

-- The "Notify Me" messages that ask for a token.
CREATE TABLE opt_in_requests (
    id          text PRIMARY KEY,
    contact_id  text NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    page_id     text NOT NULL REFERENCES pages (id),
    topic       TEXT NOT NULL REFERENCES topics (slug),
    state       TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'failed', 'unknown', 'granted')),
    provider_id TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    token_id    text,
    asked_at    timestamp NOT NULL,
    updated_at  timestamp NOT NULL
);
CREATE INDEX opt_in_requests_asked ON opt_in_requests (contact_id, page_id, topic, asked_at);
CREATE INDEX opt_in_requests_sending ON opt_in_requests (asked_at) WHERE state = 'sending';

-- One intent of a marketer.
CREATE TABLE campaigns (
    id             text PRIMARY KEY,
    name           TEXT NOT NULL,
    page_id        text NOT NULL REFERENCES pages (id),
    topic          TEXT NOT NULL REFERENCES topics (slug),
    audience       text NOT NULL,
    route          text NOT NULL,
    content        text NOT NULL,
    fall_through   BOOLEAN NOT NULL DEFAULT TRUE,
    starts_at      timestamp,
    starts_local   BOOLEAN NOT NULL DEFAULT FALSE, -- starts_at, read in UTC, is the clock on each contact's wall
    ends_at        timestamp,
    allowed_hours  text, -- NULL is the default
    escalate_after_hours INTEGER NOT NULL DEFAULT 0, -- 0 is never
    escalation_of  text REFERENCES campaigns (id), -- the campaign whose silent people this one writes to again
    state          TEXT NOT NULL CHECK (state IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')),
    planned_to     text, -- last contact planned
    planned_until  text, -- last contact to plan
    planned_at     timestamp, -- when planning ended
    started_at     timestamp,
    finished_at    timestamp,
    report         text, -- the last one, once the campaign's deliveries are given up
    created_at     timestamp NOT NULL,
    updated_at     timestamp NOT NULL
);

CREATE UNIQUE INDEX campaigns_escalation ON campaigns (escalation_of) WHERE escalation_of IS NOT NULL;

-- Numbers handed out in blocks.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);
INSERT INTO counters (name, next) VALUES ('delivery', 1);

-- The ledger: one contact's place in one campaign. Columns that change while
-- sending stand in no index, so that PostgreSQL can update rows in place.
CREATE TABLE deliveries (
    id           BIGINT PRIMARY KEY,
    campaign_id  text NOT NULL,
    contact_id   text NOT NULL,
    lane         TEXT NOT NULL, -- '' when unreachable
    route_from   SMALLINT NOT NULL DEFAULT 0, -- lanes of the route before this one are used up
    state        TEXT NOT NULL,
    attempt      SMALLINT NOT NULL DEFAULT 0, -- tries so far
    job_id       BIGINT NOT NULL DEFAULT 0, -- the job that claimed it
    provider_id  TEXT NOT NULL DEFAULT '',
    code         TEXT NOT NULL DEFAULT '',
    reason       TEXT NOT NULL DEFAULT '', -- why unreachable or failed
    not_before   timestamp,
    sent_at      timestamp,
    accepted_at  timestamp,
    delivered_at timestamp,
    read_at      timestamp,
    clicked_at   timestamp,
    returned_at  timestamp,
    replied_at   timestamp,
    escalated_at timestamp, -- silent on Messenger: one more message is in the escalation of the campaign
    created_at   timestamp NOT NULL,
    UNIQUE (campaign_id, contact_id),
    CHECK (state IN ('pending', 'sending', 'accepted', 'delivered', 'failed', 'unknown', 'unreachable', 'held', 'expired', 'cancelled')),
    CHECK ((state = 'unreachable') = (lane = ''))
);
CREATE INDEX deliveries_contact ON deliveries (contact_id, id);

-- Tries of deliveries that did not end well, written when their outcome is
-- known. A try on its way, and one that was taken, have the delivery's row
-- (attempt, lane, job_id, sent_at, accepted_at, provider_id) as their record.
CREATE TABLE attempts (
    delivery_id BIGINT NOT NULL,
    n           SMALLINT NOT NULL,
    lane        TEXT NOT NULL,
    outcome     TEXT NOT NULL,
    provider_id TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    detail      TEXT NOT NULL DEFAULT '',
    started_at  timestamp NOT NULL,
    finished_at timestamp NOT NULL,
    looks       SMALLINT NOT NULL DEFAULT 0, -- how often the provider was asked for an unknown one
    looked_at   timestamp, -- when somebody began to ask
    resent_at   timestamp, -- when a person had an unknown one sent again
    PRIMARY KEY (delivery_id, n)
);
CREATE INDEX attempts_sought ON attempts (lane, started_at) WHERE outcome = 'unknown' AND looks < 3;

-- Which campaign a block of numbers was handed to. It stays when the campaign's
-- deliveries are deleted, so that their links still lead to the bot.
CREATE TABLE delivery_blocks (
    first_id    INTEGER PRIMARY KEY,
    past_id     INTEGER NOT NULL, -- the next block's first
    campaign_id text NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE
);

-- Work for one job: the deliveries of one lane in a range of ids, or, without a
-- lane, the silence of all of them.
CREATE TABLE batches (
    id          text PRIMARY KEY,
    campaign_id text NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    lane        TEXT NOT NULL,
    first_id    BIGINT NOT NULL,
    last_id     BIGINT NOT NULL,
    finished_at timestamp,
    created_at  timestamp NOT NULL
);
CREATE INDEX batches_open ON batches (campaign_id) WHERE finished_at IS NULL;

-- Senders: how fast they may go, and whether they may go at all. A sender
-- without a row goes at its set pace.
CREATE TABLE lines (
    sender      TEXT PRIMARY KEY, -- messenger:<page id>, sms, email
    free_at     BIGINT NOT NULL,  -- turns are given out up to here, in microseconds since 1970
    share       INTEGER NOT NULL DEFAULT 100, -- percent of its pace, while it is slowed
    slow_until  timestamp, -- then it goes up in steps
    pace        DOUBLE PRECISION NOT NULL DEFAULT 0, -- units a second, while it is slowed and has no set pace
    stopped_at  timestamp,
    stop_code   TEXT NOT NULL DEFAULT '',
    stop_detail TEXT NOT NULL DEFAULT '',
    retry_at    timestamp, -- when a stopped one is tried; NULL: when somebody resumes it
    rest        INTEGER NOT NULL DEFAULT 0, -- seconds of the last rest
    tried       INTEGER NOT NULL DEFAULT 0, -- of the chunks that are not judged yet
    faults      INTEGER NOT NULL DEFAULT 0,
    refused     INTEGER NOT NULL DEFAULT 0,
    streak      INTEGER NOT NULL DEFAULT 0, -- bad chunks in a row
    updated_at  timestamp NOT NULL
);

-- What happened, for the outside: no personal data in it.
CREATE TABLE events (
    id          text PRIMARY KEY,
    type        TEXT NOT NULL,
    at          timestamp NOT NULL,
    page_id     text,
    campaign_id text,
    contact_id  text,
    delivery_id BIGINT,
    data        text NOT NULL DEFAULT '{}'
);
CREATE INDEX events_type ON events (type, id);

-- Providers' callbacks, stored before they are answered.
CREATE TABLE callbacks (
    id          text PRIMARY KEY,
    channel     TEXT NOT NULL,
    hash        blob NOT NULL UNIQUE,
    url         TEXT NOT NULL DEFAULT '',
    headers     text NOT NULL DEFAULT '{}',
    body        blob NOT NULL,
    received_at timestamp NOT NULL,
    applied_at  timestamp,
    events      INTEGER NOT NULL DEFAULT 0,
    problem     TEXT NOT NULL DEFAULT ''
);

-- Streamed imports: the body in parts, and what came of its lines.
CREATE TABLE imports (
    id          text PRIMARY KEY,
    format      TEXT NOT NULL CHECK (format IN ('ndjson', 'csv')),
    options     text NOT NULL DEFAULT '{}',
    state       TEXT NOT NULL CHECK (state IN ('receiving', 'queued', 'running', 'finished', 'failed')),
    dry_run     BOOLEAN NOT NULL DEFAULT FALSE,
    cursor      text NOT NULL DEFAULT '{}',
    lines       BIGINT NOT NULL DEFAULT 0,
    created     BIGINT NOT NULL DEFAULT 0,
    updated     BIGINT NOT NULL DEFAULT 0,
    refused     BIGINT NOT NULL DEFAULT 0,
    problem     TEXT NOT NULL DEFAULT '',
    created_at  timestamp NOT NULL,
    finished_at timestamp
);
CREATE TABLE import_parts (
    import_id text NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    n         INTEGER NOT NULL,
    data      blob NOT NULL,
    PRIMARY KEY (import_id, n)
);
CREATE TABLE import_refusals (
    import_id text NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    line      BIGINT NOT NULL,
    pointer   TEXT NOT NULL DEFAULT '',
    code      TEXT NOT NULL,
    detail    TEXT NOT NULL,
    PRIMARY KEY (import_id, line, pointer)
);

-- Who may call the API.
CREATE TABLE api_keys (
    id           text PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         blob NOT NULL UNIQUE,
    scopes       text NOT NULL,
    created_at   timestamp NOT NULL,
    last_used_at timestamp,
    revoked_at   timestamp
);
CREATE TABLE idempotency_keys (
    key_id     text NOT NULL,
    key        TEXT NOT NULL,
    operation  TEXT NOT NULL,
    body_hash  blob NOT NULL,
    status     INTEGER NOT NULL DEFAULT 0, -- 0 while the first call runs
    body       blob,
    created_at timestamp NOT NULL,
    PRIMARY KEY (key_id, key, operation)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
