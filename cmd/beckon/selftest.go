package main

import "beckon/internal/selftest"

// wireSelfTests wires what finds out, with a tester, what Meta lets a page do.
func (a *app) wireSelfTests() {
	p := selftest.Parts{DB: a.db, Queue: a.queue, Box: a.box, Pages: a.pages, Tokens: a.tokens, Now: now}
	if s := a.speaker(); s != nil {
		p.Asker, p.Speaker = a.channels.messenger, s
	}
	a.selfTests = selftest.New(p)
}
