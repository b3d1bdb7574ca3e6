package webhook

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
