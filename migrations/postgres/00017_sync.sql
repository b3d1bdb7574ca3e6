-- +goose Up

-- How far each of the provider's suppression lists was taken over, and how far ours
-- was written back.
CREATE TABLE mirrors (
    list        TEXT PRIMARY KEY,
    account     TEXT NOT NULL,              -- a keyed hash; with another account all begins anew
    turn        BIGINT NOT NULL DEFAULT 0,  -- counts what was written down: who comes with an old one is late
    from_at     timestamptz,                -- the part of the list that is being read; no until_at: none is
    until_at    timestamptz,
    place       BIGINT NOT NULL DEFAULT 0,  -- how many of it are done
    added       BIGINT NOT NULL DEFAULT 0,  -- how many of these were new
    done_until  timestamptz,                -- all until then is done
    full_at     timestamptz,                -- when the whole list was last begun
    finished_at timestamptz,
    last_seen   BIGINT NOT NULL DEFAULT 0,
    last_added  BIGINT NOT NULL DEFAULT 0,
    problem     TEXT NOT NULL DEFAULT '',
    problem_at  timestamptz,
    wait_until  timestamptz                 -- SendGrid asked for it
);

-- Who stands on the provider's list of those who want no mail at all, as far as we
-- know.
CREATE TABLE mirrored (
    account TEXT NOT NULL,
    hash    bytea NOT NULL, -- keyed, as in suppressions
    state   TEXT NOT NULL CHECK (state IN ('listed', 'nobody', 'refused')),
    at      timestamptz NOT NULL,
    PRIMARY KEY (account, hash)
);
