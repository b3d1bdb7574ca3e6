-- +goose Up
-- How many events of a callback nobody here understands.
ALTER TABLE callbacks ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE callbacks DROP COLUMN unknown;
