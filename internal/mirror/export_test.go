package mirror

import "context"

// Pull and Push do what the jobs do.
func (s *Service) PullNow(ctx context.Context) error { return s.pull(ctx) }

// PushNow writes back, as the job does.
func (s *Service) PushNow(ctx context.Context) error { return s.push(ctx) }
