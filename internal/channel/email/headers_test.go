package email_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
)

func TestHeadersLetPeopleRefuseWithOneClick(t *testing.T) {
	t.Parallel()
	b := channel.Batch{Campaign: "0198c5a4"}
	m := channel.Message{Mark: "mark7", Unsubscribe: "https://go.example/u/7"}
	require.Equal(t, []email.Header{
		{"Message-ID", "<mark7@shop.example>"},
		{"List-Unsubscribe", "<https://go.example/u/7>"},
		{"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"},
		{"Feedback-ID", "0198c5a4:campaign:beckon:shop.example"},
	}, email.Headers(&b, &m, email.Domain("news@shop.example")))
	require.Empty(t, email.Headers(&channel.Batch{}, &channel.Message{}, ""))
}
