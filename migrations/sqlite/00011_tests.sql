-- +goose Up

-- The campaign that this one only tries on one person; not in the list of campaigns.
ALTER TABLE campaigns ADD COLUMN test_of text;
