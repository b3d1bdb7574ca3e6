package main

import "beckon/internal/thread"

// wireThreads sets up what shares people's threads with other apps. It hears
// events before those that write to people.
func (a *app) wireThreads() {
	a.threads = thread.New(thread.Parts{DB: a.db, Contacts: a.contacts, Pages: a.pages, Graph: a.channels.threads(), AppID: a.config.Meta.AppID, Now: now})
	a.threads.Register(a.queue)
}
