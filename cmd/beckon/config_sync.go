package main

import "strings"

// Sync is how SendGrid's suppression lists and ours are kept alike.
type Sync struct {
	Pull      bool     `env:"SENDGRID_SYNC" envDefault:"true"`
	WriteBack bool     `env:"SENDGRID_WRITE_BACK" envDefault:"false"`
	Groups    []string `env:"SENDGRID_GROUPS"`
}

func checkSync(c *Config) []string {
	s := &c.Mail.Sync
	for i, id := range s.Groups {
		if s.Groups[i] = strings.TrimSpace(id); s.Groups[i] == "" || len(s.Groups[i]) > len("9223372036854775807") || strings.Trim(s.Groups[i], "0123456789") != "" {
			return []string{"SENDGRID_GROUPS must be numbers of unsubscribe groups, with commas between"}
		}
	}
	if c.Mail.Key == "" && (s.WriteBack || len(s.Groups) > 0) {
		return []string{"SENDGRID_WRITE_BACK and SENDGRID_GROUPS must not be set without SENDGRID_API_KEY"}
	}
	return nil
}
