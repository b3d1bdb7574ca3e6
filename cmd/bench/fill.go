package main

import (
	"context"
	"fmt"

	"beckon/internal/delivery"
)

// oldSize is how many people each old campaign had.
const oldSize = 100_000

// fill writes old campaigns as they are left: delivered, some read. All had the
// same people, walked in order, as planning does.
func (s *scale) fill(ctx context.Context) error {
	for left, n := int64(s.rows), 0; left > 0; left, n = left-oldSize, n+1 {
		if err := s.fillOne(ctx, n, min(left, oldSize)); err != nil {
			return fmt.Errorf("write an old campaign: %w", err)
		}
	}
	_, err := s.conn.Exec(ctx, "VACUUM ANALYZE deliveries") // as autovacuum would have, by and by
	return err
}

func (s *scale) fillOne(ctx context.Context, n int, size int64) error {
	tx, err := s.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) //nolint:errcheck // after the commit it has nothing to do
	var campaign string
	err = tx.QueryRow(ctx, `INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, finished_at, created_at, updated_at)
		VALUES (gen_random_uuid(), $1, $2, $3, '{}', '["email"]', '{}', 'finished', now() - interval '60 days', now(), now()) RETURNING CAST(id AS text)`,
		fmt.Sprint("old ", n), s.page, topic).Scan(&campaign)
	if err != nil {
		return err
	}
	var past int64
	err = tx.QueryRow(ctx, "UPDATE counters SET next = next + $1 WHERE name = 'delivery' RETURNING next", size).Scan(&past)
	if err == nil {
		_, err = tx.Exec(ctx, "SELECT grow_ledger($1, $2, $3)", past-size, past, int64(delivery.LeafWidth))
	}
	if err == nil {
		_, err = tx.Exec(ctx, `INSERT INTO deliveries (id, campaign_id, contact_id, lane, state, attempt, job_id, provider_id, sent_at, accepted_at, delivered_at, read_at, created_at)
			SELECT n, $3, CAST(lpad(to_hex(n - $1), 32, '0') AS uuid), 'email', 'delivered', 1, n / 500, 'Kz3pXb0oR1m8QwT5' || n, t, t, t, CASE WHEN n % 3 = 0 THEN t END, t
			FROM generate_series(CAST($1 AS bigint), CAST($2 AS bigint) - 1) AS n, (SELECT now() - interval '60 days' AS t) AS old`, past-size, past, campaign)
	}
	if err != nil {
		return err
	}
	return tx.Commit(ctx)
}
