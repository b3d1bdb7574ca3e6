package webhook

import "time"

// Waiting is how many callbacks wait for the commit that goes on; -1 when none does.
func (i *Inbox) Waiting() int {
	i.intake.mu.Lock()
	defer i.intake.mu.Unlock()
	if !i.intake.busy {
		return -1
	}
	return len(i.intake.waiting)
}

// MostTogether is how many callbacks may share a commit.
const MostTogether = mostTogether

// Turns says how long each of n commits waits that are begun as soon as they may.
func Turns(n int) (waits []time.Duration) {
	in, now := &intake{}, time.Now()
	for range n {
		wait := max(in.turn(now), 0)
		waits, now = append(waits, wait), now.Add(wait)
	}
	return waits
}

// Queued is how many jobs wait for the one that works.
func (i *Inbox) Queued() int {
	i.crew.mu.Lock()
	defer i.crew.mu.Unlock()
	if len(i.crew.turn) == 0 {
		return -1
	}
	return len(i.crew.waiting)
}
