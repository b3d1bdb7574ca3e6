package content

// FilterNames are the filters an author may use.
func FilterNames() []string { return filterNames() }
