package main

import (
	"fmt"
	"io"
	"strings"
)

// figure is one thing that was measured.
type figure struct {
	name   string
	value  float64
	unit   string
	target float64 // 0: none
	most   bool    // the target must not be passed
	ratio  bool    // shown as 0.87 and with no unit
}

func (f figure) String() string {
	if f.ratio {
		return fmt.Sprintf("%.2f", f.value)
	}
	return grouped(int64(f.value+0.5)) + " " + f.unit
}

func (f figure) reached() bool {
	if f.most {
		return f.value <= f.target
	}
	return f.value >= f.target
}

func (f figure) verdict() string {
	if f.target == 0 {
		return ""
	}
	want := figure{value: f.target, unit: f.unit, ratio: f.ratio}.String()
	if f.most {
		want = "at most " + want
	}
	if f.reached() {
		return want + ": reached"
	}
	return want + ": NOT reached"
}

func grouped(n int64) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// table shows the figures of all engines side by side. All engines have the
// same figures in the same order.
type table struct {
	engines []engine
	columns [][]figure
}

func (t *table) add(e engine, figures []figure) {
	t.engines, t.columns = append(t.engines, e), append(t.columns, figures)
}

func (t *table) print(w io.Writer) {
	if len(t.columns) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%-34s", "")
	for _, e := range t.engines {
		fmt.Fprintf(w, "%20s", e.name)
	}
	fmt.Fprintln(w, "   target, on PostgreSQL")
	fmt.Fprintln(w, strings.Repeat("-", 34+20*len(t.engines)+30))
	for i, f := range t.columns[0] {
		fmt.Fprintf(w, "%-34s", f.name)
		verdict := ""
		for c, e := range t.engines {
			fmt.Fprintf(w, "%20s", t.columns[c][i])
			if e.judged {
				verdict = t.columns[c][i].verdict()
			}
		}
		fmt.Fprintln(w, strings.TrimRight("   "+verdict, " "))
	}
}
