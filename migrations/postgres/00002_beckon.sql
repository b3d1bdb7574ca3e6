-- +goose Up

-- A Facebook Page whose bot we drive.
CREATE TABLE pages (
    id               uuid PRIMARY KEY,
    facebook_page_id TEXT NOT NULL UNIQUE,
    name             TEXT NOT NULL,
    username         TEXT NOT NULL DEFAULT '',
    time_zone        TEXT NOT NULL DEFAULT '', -- IANA name
    access_token     bytea NOT NULL, -- sealed
    one_time         TEXT NOT NULL DEFAULT 'unknown' CHECK (one_time IN ('unknown', 'works', 'off')),
    token_health     TEXT NOT NULL DEFAULT 'unknown' CHECK (token_health IN ('unknown', 'works', 'refused')),
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);

-- What a permission is asked for.
CREATE TABLE topics (
    slug       TEXT PRIMARY KEY,
    title      TEXT NOT NULL,
    payloads   jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
INSERT INTO topics (slug, title, created_at, updated_at)
VALUES ('unsorted', 'Unsorted', '2026-01-01 00:00:00+00:00', '2026-01-01 00:00:00+00:00');

-- A person the business knows. Phone and e-mail have one owner each; their
-- hashes are what suppressions are kept under.
CREATE TABLE contacts (
    id                     uuid PRIMARY KEY,
    external_id            TEXT UNIQUE,
    first_name             TEXT NOT NULL DEFAULT '',
    last_name              TEXT NOT NULL DEFAULT '',
    locale                 TEXT NOT NULL DEFAULT '',
    time_zone              TEXT NOT NULL DEFAULT '',
    attributes             jsonb NOT NULL DEFAULT '{}',
    phone                  TEXT UNIQUE,
    phone_hash             bytea,
    email                  TEXT UNIQUE,
    email_hash             bytea,
    sms_consent_status     TEXT NOT NULL DEFAULT '' CHECK (sms_consent_status IN ('', 'subscribed', 'unsubscribed')),
    sms_consent_source     TEXT NOT NULL DEFAULT '',
    sms_consent_at         timestamptz,
    sms_consent_evidence   TEXT NOT NULL DEFAULT '',
    email_consent_status   TEXT NOT NULL DEFAULT '' CHECK (email_consent_status IN ('', 'subscribed', 'unsubscribed')),
    email_consent_source   TEXT NOT NULL DEFAULT '',
    email_consent_at       timestamptz,
    email_consent_evidence TEXT NOT NULL DEFAULT '',
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL
);

-- Where a contact can be reached on a Page, and when they last acted there.
CREATE TABLE messenger_addresses (
    page_id        uuid NOT NULL REFERENCES pages (id),
    psid           TEXT NOT NULL,
    contact_id     uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    last_action_at timestamptz,
    blocked_at     timestamptz,
    created_at     timestamptz NOT NULL,
    PRIMARY KEY (page_id, psid),
    UNIQUE (contact_id, page_id)
);

-- An address that must not be sent to, whoever holds it.
CREATE TABLE suppressions (
    id         uuid PRIMARY KEY,
    channel    TEXT NOT NULL CHECK (channel IN ('sms', 'email')),
    hash       bytea NOT NULL, -- keyed
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    UNIQUE (channel, hash)
);

-- Permission to send one Messenger message for a topic, once, within a year.
CREATE TABLE tokens (
    id          uuid PRIMARY KEY,
    contact_id  uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    page_id     uuid NOT NULL REFERENCES pages (id),
    topic       TEXT NOT NULL REFERENCES topics (slug),
    value       bytea NOT NULL, -- sealed
    value_hash  bytea NOT NULL, -- keyed
    status      TEXT NOT NULL CHECK (status IN ('available', 'reserved', 'spent', 'expired', 'void')),
    source      TEXT NOT NULL,
    granted_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    delivery_id BIGINT,
    updated_at  timestamptz NOT NULL,
    UNIQUE (page_id, value_hash)
);
CREATE INDEX tokens_available ON tokens (contact_id, page_id, topic, granted_at, id) WHERE status = 'available';
CREATE INDEX tokens_contact ON tokens (contact_id);
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE status = 'available';
CREATE UNIQUE INDEX tokens_reserved ON tokens (delivery_id) WHERE status = 'reserved';

-- The "Notify Me" messages that ask for a token.
CREATE TABLE opt_in_requests (
    id          uuid PRIMARY KEY,
    contact_id  uuid NOT NULL REFERENCES contacts (id) ON DELETE CASCADE,
    page_id     uuid NOT NULL REFERENCES pages (id),
    topic       TEXT NOT NULL REFERENCES topics (slug),
    state       TEXT NOT NULL CHECK (state IN ('sending', 'sent', 'failed', 'unknown', 'granted')),
    provider_id TEXT NOT NULL DEFAULT '',
    code        TEXT NOT NULL DEFAULT '',
    token_id    uuid,
    asked_at    timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);
CREATE INDEX opt_in_requests_asked ON opt_in_requests (contact_id, page_id, topic, asked_at);
CREATE INDEX opt_in_requests_sending ON opt_in_requests (asked_at) WHERE state = 'sending';

-- One intent of a marketer.
CREATE TABLE campaigns (
    id             uuid PRIMARY KEY,
    name           TEXT NOT NULL,
    page_id        uuid NOT NULL REFERENCES pages (id),
    topic          TEXT NOT NULL REFERENCES topics (slug),
    audience       jsonb NOT NULL,
    route          jsonb NOT NULL,
    content        jsonb NOT NULL,
    fall_through   BOOLEAN NOT NULL DEFAULT TRUE,
    starts_at      timestamptz,
    starts_local   BOOLEAN NOT NULL DEFAULT FALSE, -- starts_at, read in UTC, is the clock on each contact's wall
    ends_at        timestamptz,
    allowed_hours  jsonb, -- NULL is the default
    escalate_after_hours INTEGER NOT NULL DEFAULT 0, -- 0 is never
    escalation_of  uuid REFERENCES campaigns (id), -- the campaign whose silent people this one writes to again
    state          TEXT NOT NULL CHECK (state IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')),
    planned_to     uuid, -- last contact planned
    planned_until  uuid, -- last contact to plan
    planned_at     timestamptz, -- when planning ended
    started_at     timestamptz,
    finished_at    timestamptz,
    report         jsonb, -- the last one, once the campaign's deliveries are given up
    created_at     timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL
);

CREATE UNIQUE INDEX campaigns_escalation ON campaigns (escalation_of) WHERE escalation_of IS NOT NULL;

-- Numbers handed out in blocks.
CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    next BIGINT NOT NULL
);
INSERT INTO counters (name, next) VALUES ('delivery', 1);

-- The ledger: one contact's place in one campaign. Columns that change while
-- sending stand in no index, and each page has room for every row once more, so
-- that PostgreSQL can update rows in place.
--
-- It is kept in leaves by number. Numbers are handed out in time, so a leaf is a
-- stretch of time, and old campaigns go by dropping leaves. UNIQUE (campaign_id,
-- contact_id) can hold inside a leaf only: that a contact has one place in a
-- campaign whose places lie in two leaves is the work of campaigns.planned_to.
-- It walks the contacts in order and moves in the transaction that writes their
-- places, from the very value that was read, or that transaction is given up.
CREATE TABLE deliveries (
    id           BIGINT PRIMARY KEY,
    campaign_id  uuid NOT NULL,
    contact_id   uuid NOT NULL,
    lane         TEXT NOT NULL, -- '' when unreachable
    route_from   SMALLINT NOT NULL DEFAULT 0, -- lanes of the route before this one are used up
    state        TEXT NOT NULL,
    attempt      SMALLINT NOT NULL DEFAULT 0, -- tries so far
    job_id       BIGINT NOT NULL DEFAULT 0, -- the job that claimed it
    provider_id  TEXT NOT NULL DEFAULT '',
    code         TEXT NOT NULL DEFAULT '',
    reason       TEXT NOT NULL DEFAULT '', -- why unreachable or failed
    not_before   timestamptz,
    sent_at      timestamptz,
    accepted_at  timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    clicked_at   timestamptz,
    returned_at  timestamptz,
    replied_at   timestamptz,
    escalated_at timestamptz, -- silent on Messenger: one more message is in the escalation of the campaign
    created_at   timestamptz NOT NULL,
    CHECK (state IN ('pending', 'sending', 'accepted', 'delivered', 'failed', 'unknown', 'unreachable', 'held', 'expired', 'cancelled')),
    CHECK ((state = 'unreachable') = (lane = ''))
) PARTITION BY RANGE (id);
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
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    looks       SMALLINT NOT NULL DEFAULT 0, -- how often the provider was asked for an unknown one
    looked_at   timestamptz, -- when somebody began to ask
    resent_at   timestamptz, -- when a person had an unknown one sent again
    PRIMARY KEY (delivery_id, n)
) PARTITION BY RANGE (delivery_id);

-- Which campaign a block of numbers was handed to. It stays when the campaign's
-- deliveries are dropped, so that their links still lead to the bot.
CREATE TABLE delivery_blocks (
    first_id    BIGINT PRIMARY KEY,
    past_id     BIGINT NOT NULL, -- the next block's first
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE
);
CREATE INDEX attempts_sought ON attempts (lane, started_at) WHERE outcome = 'unknown' AND looks < 3;

-- Work for one job: the deliveries of one lane in a range of ids, or, without a
-- lane, the silence of all of them.
CREATE TABLE batches (
    id          uuid PRIMARY KEY,
    campaign_id uuid NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    lane        TEXT NOT NULL,
    first_id    BIGINT NOT NULL,
    last_id     BIGINT NOT NULL,
    finished_at timestamptz,
    created_at  timestamptz NOT NULL
);
CREATE INDEX batches_open ON batches (campaign_id) WHERE finished_at IS NULL;

-- Senders: how fast they may go, and whether they may go at all. A sender
-- without a row goes at its set pace.
CREATE TABLE lines (
    sender      TEXT PRIMARY KEY, -- messenger:<page id>, sms, email
    free_at     BIGINT NOT NULL,  -- turns are given out up to here, in microseconds since 1970
    share       INTEGER NOT NULL DEFAULT 100, -- percent of its pace, while it is slowed
    slow_until  timestamptz, -- then it goes up in steps
    pace        DOUBLE PRECISION NOT NULL DEFAULT 0, -- units a second, while it is slowed and has no set pace
    stopped_at  timestamptz,
    stop_code   TEXT NOT NULL DEFAULT '',
    stop_detail TEXT NOT NULL DEFAULT '',
    retry_at    timestamptz, -- when a stopped one is tried; NULL: when somebody resumes it
    rest        INTEGER NOT NULL DEFAULT 0, -- seconds of the last rest
    tried       INTEGER NOT NULL DEFAULT 0, -- of the chunks that are not judged yet
    faults      INTEGER NOT NULL DEFAULT 0,
    refused     INTEGER NOT NULL DEFAULT 0,
    streak      INTEGER NOT NULL DEFAULT 0, -- bad chunks in a row
    updated_at  timestamptz NOT NULL
);

-- What happened, for the outside: no personal data in it.
CREATE TABLE events (
    id          uuid PRIMARY KEY,
    type        TEXT NOT NULL,
    at          timestamptz NOT NULL,
    page_id     uuid,
    campaign_id uuid,
    contact_id  uuid,
    delivery_id BIGINT,
    data        jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_type ON events (type, id);

-- Providers' callbacks, stored before they are answered, in leaves by the day
-- they came: the ids hold the time. A callback is known again by its hash on the
-- same day; one that comes on another day is applied again, which changes
-- nothing.
CREATE TABLE callbacks (
    id          uuid PRIMARY KEY, -- version 7, of received_at
    channel     TEXT NOT NULL,
    hash        bytea NOT NULL, -- unique in each leaf
    url         TEXT NOT NULL DEFAULT '',
    headers     jsonb NOT NULL DEFAULT '{}',
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL,
    applied_at  timestamptz,
    events      INTEGER NOT NULL DEFAULT 0,
    problem     TEXT NOT NULL DEFAULT ''
) PARTITION BY RANGE (id);

-- What is kept in leaves, and from which value up to which.
CREATE VIEW leaves AS
SELECT p.relname AS parent, c.relname AS leaf, bounds[1] AS low, bounds[2] AS high
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), '^FOR VALUES FROM \(''(.*)''\) TO \(''(.*)''\)$') AS bounds
WHERE p.relkind = 'p' AND p.relnamespace = CAST(CAST(current_schema() AS text) AS regnamespace);

-- Makes a leaf beside the others. Attaching it, other than creating it in its
-- place, holds up nobody who reads or writes.
-- +goose StatementBegin
CREATE FUNCTION add_leaf(parent TEXT, leaf TEXT, low TEXT, high TEXT, uniq TEXT, storage TEXT) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (%s)', leaf, parent, storage);
    IF uniq <> '' THEN
        EXECUTE format('ALTER TABLE %I ADD UNIQUE (%s)', leaf, uniq);
    END IF;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, leaf, low, high);
END $$;
-- +goose StatementEnd

-- Makes sure that the numbers from first on have leaves, up to past. The lock
-- keeps two transactions from making the same leaf.
-- +goose StatementBegin
CREATE FUNCTION grow_ledger(first BIGINT, past BIGINT, width BIGINT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    top BIGINT;
    next BIGINT;
BEGIN
    SELECT MAX(CAST(high AS bigint)) INTO top FROM leaves WHERE parent = 'deliveries';
    IF top >= past THEN
        RETURN;
    END IF;
    LOCK TABLE ONLY deliveries, ONLY attempts IN SHARE UPDATE EXCLUSIVE MODE;
    SELECT COALESCE(MAX(CAST(high AS bigint)), first / width * width) INTO top FROM leaves WHERE parent = 'deliveries';
    WHILE top < past LOOP
        next := (top / width + 1) * width;
        PERFORM add_leaf('deliveries', 'deliveries_p' || top, CAST(top AS text), CAST(next AS text), 'campaign_id, contact_id', 'fillfactor = 45');
        PERFORM add_leaf('attempts', 'attempts_p' || top, CAST(top AS text), CAST(next AS text), '', 'fillfactor = 90');
        top := next;
    END LOOP;
END $$;
-- +goose StatementEnd

-- Makes sure that a day has a leaf for its callbacks. Rows that are written once
-- and updated once keep some room.
-- +goose StatementBegin
CREATE FUNCTION grow_callbacks(day DATE) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    name TEXT := 'callbacks_p' || to_char(day, 'YYYYMMDD');
BEGIN
    IF EXISTS (SELECT FROM leaves WHERE leaf = name) THEN
        RETURN;
    END IF;
    LOCK TABLE ONLY callbacks IN SHARE UPDATE EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM leaves WHERE leaf = name) THEN
        RETURN;
    END IF;
    PERFORM add_leaf('callbacks', name, CAST(first_id_of(day) AS text), CAST(first_id_of(day + 1) AS text), 'hash', 'fillfactor = 90');
END $$;
-- +goose StatementEnd

-- The lowest id of version 7 that a day has.
CREATE FUNCTION first_id_of(day DATE) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM day) * 1000 AS bigint)), 12, '0') || '00000000000000000000' AS uuid) $$;

-- Streamed imports: the body in parts, and what came of its lines.
CREATE TABLE imports (
    id          uuid PRIMARY KEY,
    format      TEXT NOT NULL CHECK (format IN ('ndjson', 'csv')),
    options     jsonb NOT NULL DEFAULT '{}',
    state       TEXT NOT NULL CHECK (state IN ('receiving', 'queued', 'running', 'finished', 'failed')),
    dry_run     BOOLEAN NOT NULL DEFAULT FALSE,
    cursor      jsonb NOT NULL DEFAULT '{}',
    lines       BIGINT NOT NULL DEFAULT 0,
    created     BIGINT NOT NULL DEFAULT 0,
    updated     BIGINT NOT NULL DEFAULT 0,
    refused     BIGINT NOT NULL DEFAULT 0,
    problem     TEXT NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE TABLE import_parts (
    import_id uuid NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    n         INTEGER NOT NULL,
    data      bytea NOT NULL,
    PRIMARY KEY (import_id, n)
);
CREATE TABLE import_refusals (
    import_id uuid NOT NULL REFERENCES imports (id) ON DELETE CASCADE,
    line      BIGINT NOT NULL,
    pointer   TEXT NOT NULL DEFAULT '',
    code      TEXT NOT NULL,
    detail    TEXT NOT NULL,
    PRIMARY KEY (import_id, line, pointer)
);

-- Who may call the API.
CREATE TABLE api_keys (
    id           uuid PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         bytea NOT NULL UNIQUE,
    scopes       jsonb NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at   timestamptz
);
CREATE TABLE idempotency_keys (
    key_id     uuid NOT NULL,
    key        TEXT NOT NULL,
    operation  TEXT NOT NULL,
    body_hash  bytea NOT NULL,
    status     INTEGER NOT NULL DEFAULT 0, -- 0 while the first call runs
    body       bytea,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (key_id, key, operation)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);
