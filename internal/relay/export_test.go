package relay

import "context"

// Sweep sees to what is to be tried again, as the job does every few seconds.
func (r *Relay) Sweep(ctx context.Context) error { return r.sweep(ctx) }

// Purge forgets what was given up long ago, as the job does every hour.
func (r *Relay) Purge(ctx context.Context) error { return r.purge(ctx) }
