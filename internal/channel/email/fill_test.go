package email_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
)

func TestAValueIsNotReadForHolesAgain(t *testing.T) {
	t.Parallel()
	m := channel.Mail{Subject: "Hi %0%", HTML: "<p>%0% %1%", Text: "%1%%0%", Holes: []string{"%0%", "%1%"}}
	require.Equal(t, channel.Mail{Subject: "Hi %1%", HTML: "<p>%1% %0%", Text: "%0%%1%"}, email.Fill(m, []string{"%1%", "%0%"}))
	require.Equal(t, channel.Mail{Text: "as it is"}, email.Fill(channel.Mail{Text: "as it is"}, nil))
}
