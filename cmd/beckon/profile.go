package main

import "beckon/internal/profile"

// wireProfiles wires what asks Messenger for the names of people who write.
func (a *app) wireProfiles() {
	p := profile.Parts{DB: a.db, Queue: a.queue, Pages: a.pages, Contacts: a.contacts, Now: now}
	if a.channels.messenger != nil {
		p.Reader = a.channels.messenger
	}
	a.profiles = profile.New(p)
}
