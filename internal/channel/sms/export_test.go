package sms

import (
	"net/url"
	"testing"
)

// MessagingHost is the host that an account's services are asked at.
func MessagingHost(tb testing.TB, base string) string {
	tb.Helper()
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	return messagingBase(u).Host
}
