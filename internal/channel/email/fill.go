package email

import (
	"strings"

	"beckon/internal/channel"
)

// Fill writes one value per hole into the texts of a mail. A value is not read
// for holes again.
func Fill(m channel.Mail, values []string) channel.Mail {
	pairs := make([]string, 0, 2*len(values))
	for i, hole := range m.Holes {
		pairs = append(pairs, hole, values[i])
	}
	r := strings.NewReplacer(pairs...)
	return channel.Mail{Subject: r.Replace(m.Subject), HTML: r.Replace(m.HTML), Text: r.Replace(m.Text)}
}
