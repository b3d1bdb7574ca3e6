package sms_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sms"
)

// `make oracle` sets these: a folder with Twilio's calculator, and whether to
// write down what it says.
var (
	oracleFolder = flag.String("oracle", "", "folder in which sms-segments-calculator is installed")
	oracleKeeps  = flag.Bool("oracle-keep", false, "write testdata/segments.json")
)

const (
	oracleTexts = 10_000
	keptTexts   = 400 // the first of them, whose counts are on file
)

// counted is a text with the number of its parts.
type counted struct {
	Text     string `json:"text"`
	Segments int    `json:"segments"`
}

// The counts on file are what Twilio's calculator says: `make oracle` proves it.
func TestSegmentsAreWhatTwiliosCalculatorSays(t *testing.T) {
	t.Parallel()
	var kept []counted
	require.NoError(t, json.Unmarshal([]byte(fixture(t, "segments.json")), &kept))
	require.Len(t, kept, keptTexts)
	most := map[int]int{}
	for _, c := range kept {
		require.Equal(t, c.Segments, sms.Segments(c.Text), "%q", c.Text)
		most[min(c.Segments, 4)]++
	}
	for n := 1; n <= 4; n++ {
		require.Greater(t, most[n], 20, "texts of %d parts", n)
	}
}

// TestSegmentsEqualTheOracle asks Twilio's calculator itself about many texts.
func TestSegmentsEqualTheOracle(t *testing.T) {
	if *oracleFolder == "" {
		t.Skip("NOT compared with Twilio's own calculator: `make oracle` does it, with Node.js")
	}
	texts := manyTexts(oracleTexts)
	theirs := askOracle(t, texts)
	wrong, cuts := 0, map[int]int{}
	for i, text := range texts {
		cuts[theirs[i]]++
		if ours := sms.Segments(text); ours != theirs[i] {
			if wrong++; wrong < 10 {
				t.Errorf("%+q has %d parts by Twilio's calculator, and %d by ours", text, theirs[i], ours)
			}
		}
	}
	t.Logf("%d texts compared with Twilio's calculator, %d different; texts by parts: %v", len(texts), wrong, cuts)
	if *oracleKeeps && wrong == 0 {
		keep(t, texts, theirs)
	}
}

// askOracle has Twilio's calculator count the parts of texts.
func askOracle(t *testing.T, texts []string) []int {
	t.Helper()
	const program = `
const { SegmentedMessage } = require('sms-segments-calculator');
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
process.stdout.write(JSON.stringify(texts.map((t) => new SegmentedMessage(t).segmentsCount)));`
	in, err := json.Marshal(texts)
	require.NoError(t, err)
	node := exec.CommandContext(t.Context(), "node", "-e", program)
	var complaint bytes.Buffer
	node.Dir, node.Stdin, node.Stderr = *oracleFolder, bytes.NewReader(in), &complaint
	out, err := node.Output()
	require.NoError(t, err, complaint.String())
	var counts []int
	require.NoError(t, json.Unmarshal(out, &counts))
	require.Len(t, counts, len(texts))
	return counts
}

func keep(t *testing.T, texts []string, counts []int) {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i := range keptTexts {
		b.WriteString(map[bool]string{true: "[", false: ","}[i == 0])
		require.NoError(t, enc.Encode(counted{texts[i], counts[i]}))
	}
	b.WriteString("]\n")
	require.NoError(t, os.WriteFile(filepath.Join("testdata", "segments.json"), b.Bytes(), 0o600))
}

// alphabets are what texts are made of. A space stands between the characters,
// some of which are several to a computer.
func alphabets() map[string][]string {
	split := strings.Fields
	return map[string][]string{
		"gsm":      append(split("a b c X Y Z 0 9 @ £ $ ¥ è é ù ì ò Ç Ø ø Å å Δ _ Φ Γ Λ Ω Π Ψ Σ Θ Ξ Æ æ ß É ! # ¤ % & ( ) * + , - . / : ; < = > ? ¡ Ä Ö Ñ Ü § ¿ ä ö ñ ü à ' \""), " ", "\n", "\r", "\r\n"),
		"extended": append(split("^ { } \\ [ ~ ] | €"), "\f"),
		"nearly":   append(split("` ç á â í ó ú Á ê ‘ ’ “ ” – — … ő ş"), "\u00a0", "\u001b", "\t", "\u0000", "\u007f", "\u200b", "\u00ad", "\ufeff", "\u2028", "\ufffd"),
		"ucs":      split("ж щ Я ї א ש ع ي हि क्षि ก ำ สวัส 你 好 日 本 한 각 ᄒ ᅡ ᆫ 한글 ன் கி é ñ̃ ạ̈ ﷺ"),
		"emoji":    split("👋 🎉 ❤ ❤️ ☎ ⭐ 🏠 ♂ 😀 🥰 🦄 🫶 🧑 👩 👨 🏽 🇬🇧 🇩🇪 🇺🇦 🇺 1️⃣ #️⃣ 👋🏽 👍🏿 ✌🏻 🤷🏼‍♀️ 🧑‍🚀 👩‍🚀 👨‍👩‍👧‍👦 👩‍❤️‍👩 👩🏽‍❤️‍👩🏽 🏳️‍🌈 🏴󠁧󠁢󠁥󠁮󠁧󠁿 👨‍🦰 👩🏾‍🦱 🐻‍❄️ 🫱🏻‍🫲🏿 👁️‍🗨️ 🕵🏿‍♂️ 🧔‍♂️"),
	}
}

// manyTexts makes the same texts each time: short and long ones of one alphabet
// or several, and many whose parts end in the middle of something.
func manyTexts(n int) []string {
	r := rand.New(rand.NewPCG(160, 153))
	all := alphabets()
	pick := func(names ...string) string {
		of := all[names[r.IntN(len(names))]]
		return of[r.IntN(len(of))]
	}
	write := func(count int, names ...string) string {
		var b strings.Builder
		for range count {
			b.WriteString(pick(names...))
		}
		return b.String()
	}
	mixes := [][]string{{"gsm"}, {"extended"}, {"gsm", "gsm", "gsm", "extended"}, {"ucs"}, {"emoji"}, {"gsm", "emoji"}, {"gsm", "nearly"}, {"ucs", "emoji", "nearly"}, {"gsm", "extended", "nearly", "ucs", "emoji"}}
	texts := []string{"", " ", "\r", "\n", "\r\n", "\u001b", "€", "👋", "\ufffd", "\x00"}
	for len(texts) < n {
		mix := mixes[r.IntN(len(mixes))]
		if r.IntN(3) == 0 {
			texts = append(texts, write(r.IntN(400), mix...))
			continue
		}
		border := []int{70, 134, 201, 268, 67, 160, 306, 459, 612, 153}[r.IntN(10)] // where parts end
		filler := []string{"a", "€", "ж", "é", "\n"}[r.IntN(5)]
		texts = append(texts, strings.Repeat(filler, max(0, border-r.IntN(20)))+write(r.IntN(12), mix...)+strings.Repeat("b", r.IntN(20)))
	}
	return texts[:n]
}
