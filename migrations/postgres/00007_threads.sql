-- +goose Up

-- How long a thread that another app or a human holds is left alone after the
-- last sign of it; 0 is never.
ALTER TABLE pages ADD COLUMN hold_hours INTEGER NOT NULL DEFAULT 24 CHECK (hold_hours BETWEEN 0 AND 8760);

-- Who holds a person's thread: the latest sign of each kind, and what follows.
ALTER TABLE messenger_addresses ADD COLUMN thread_app TEXT NOT NULL DEFAULT ''; -- whom a hand-over gave the thread to: an app's id, us or other
ALTER TABLE messenger_addresses ADD COLUMN thread_app_at timestamptz;
ALTER TABLE messenger_addresses ADD COLUMN standby_at timestamptz; -- something was said past us
ALTER TABLE messenger_addresses ADD COLUMN human_at timestamptz; -- a human wrote in the Page's inbox
ALTER TABLE messenger_addresses ADD COLUMN held_until timestamptz; -- left alone until then; NULL: nobody else holds it
CREATE INDEX messenger_addresses_held ON messenger_addresses (held_until) WHERE held_until IS NOT NULL;
