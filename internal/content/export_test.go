package content

// FilterNames are the filters an author may use.
func FilterNames() []string { return filterNames() }

// Footers are the words at the foot of e-mails: language, why, unsubscribe.
func Footers() map[string][3]string {
	out := map[string][3]string{}
	for name, f := range footers() {
		out[name] = [3]string{f.language, f.why, f.unsubscribe}
	}
	return out
}
