package selftest

import "context"

// Tidy is the job that ends tests nobody ends.
func (s *Service) Tidy(ctx context.Context) error { return s.tidy(ctx) }
