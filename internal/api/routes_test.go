package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/db/dbtest"
)

// What is served is what is specified, but for the files of the documentation.
func TestRoutesAreTheOperationsOfTheSpecification(t *testing.T) {
	t.Parallel()
	s := newService(t, dbtest.SQLite(t))
	var routed, specified []string
	for _, r := range s.e.Routes() {
		if len(r.Path) < len("/docs/") || r.Path[:6] != "/docs/" {
			routed = append(routed, r.Method+" "+r.Path)
		}
	}
	for route := range s.contract.operations {
		specified = append(specified, route)
	}
	require.ElementsMatch(t, specified, routed)
}
