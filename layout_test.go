package beckon_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// floors is the house: every import of ours runs from a floor to a lower one.
var floors = [][]string{
	{"internal/channel", "internal/fault", "internal/db", "internal/seal", "internal/trail", "internal/maildns", "internal/simulator", "internal/sample"},
	{"internal/route", "internal/content", "internal/audience", "internal/link", "internal/queue", "internal/hours", "internal/rig", "internal/reply"},
	{"internal/event"},
	{"internal/line", "internal/utility", "internal/budget"},
	{"internal/campaign", "internal/contact", "internal/delivery", "internal/token", "internal/page", "internal/relay"},
	{"internal/dispatch", "internal/webhook", "internal/bounce", "internal/loop", "internal/capture", "internal/thread", "internal/privacy", "internal/health", "internal/selftest", "internal/profile", "internal/optout", "internal/timeline", "internal/mirror"},
	{"internal/api"},
	{"cmd/beckon"},
}

// within are packages that belong to another one and may import it.
var within = map[string]string{
	"internal/channel/messenger":      "internal/channel",
	"internal/channel/sms":            "internal/channel",
	"internal/channel/email":          "internal/channel",
	"internal/channel/sendgrid":       "internal/channel",
	"internal/channel/smtp":           "internal/channel",
	"internal/channel/wire":           "internal/channel",
	"internal/channel/channeltest":    "internal/channel",
	"internal/db/dbtest":              "internal/db",
	"internal/db/dbtest/withpostgres": "internal/db",
	"internal/api/gen":                "internal/api",
	"internal/api/patch":              "internal/api",
	"cmd/bench":                       "cmd/beckon",
	"cmd/chaos":                       "cmd/beckon",
}

// faces look at everything; the others stay small.
var faces = map[string]bool{"cmd/beckon": true, "cmd/bench": true, "cmd/chaos": true, "internal/api": true}

const mostImports = 8

type goPackage struct {
	ImportPath string
	Imports    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...").Output()
	require.NoError(t, err)
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		require.NoError(t, dec.Decode(&p))
		list = append(list, p)
	}
	return list
}

func floorOf(name string) (floor int, family string) {
	family = name
	if of, ok := within[name]; ok {
		family = of
	}
	for i, f := range floors {
		for _, p := range f {
			if p == family {
				return i, family
			}
		}
	}
	return -1, family
}

func TestImportsRunDownTheHouse(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "beckon/")
		if name == "beckon" {
			continue
		}
		floor, family := floorOf(name)
		require.GreaterOrEqual(t, floor, 0, "%s stands on no floor: give it one", name)
		ours := 0
		for _, imp := range p.Imports {
			dep, isOurs := strings.CutPrefix(imp, "beckon/")
			if !isOurs {
				continue
			}
			ours++
			lower, depFamily := floorOf(dep)
			if depFamily == family {
				continue
			}
			if family == "internal/channel" && dep == "internal/fault" {
				continue
			}
			require.Less(t, lower, floor, "%s imports %s, which is not below it", name, dep)
		}
		if !faces[name] {
			require.LessOrEqual(t, ours, mostImports, "%s imports too many of our packages", name)
		}
	}
}
