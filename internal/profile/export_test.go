package profile

import "context"

// Again is the job that takes up what was put off.
func (s *Service) Again(ctx context.Context) error { return s.again(ctx) }
