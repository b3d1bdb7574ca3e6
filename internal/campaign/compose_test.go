package campaign_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
)

func define(t *testing.T, src content.Source, route ...channel.Lane) *campaign.Definition {
	t.Helper()
	def, err := written(t, src, route...).Define(school)
	require.NoError(t, err)
	return def
}

// named needs a first name on every channel.
var named = content.Source{
	Messenger: &content.Messenger{Text: "{{ contact.first_name }}"},
	SMS:       &content.SMS{Text: "{{ contact.first_name }}"},
	Email:     &content.Email{Subject: "{{ contact.first_name }}", Text: "Come to {{ page.name }}: {{ link }} {{ unsubscribe_url }}"},
}

var people = []campaign.Recipient{
	{Delivery: 1, To: "p1", FirstName: "Ann", Link: "https://go.example.com/l/1", Unsubscribe: "https://go.example.com/u/1"},
	{Delivery: 2, To: "p2", Link: "https://go.example.com/l/2"},
	{Delivery: 3, To: "p3", Token: "otn-3", FirstName: "Eve", Link: "https://go.example.com/l/3"},
}

func TestComposeRendersEachChannelAndRefusesWhomItCannot(t *testing.T) {
	t.Parallel()
	def := define(t, named, channel.Window, channel.OneTime, channel.LaneSMS, channel.LaneEmail)
	for lane, first := range map[channel.Lane]string{channel.Window: `{"text":"Ann"}`, channel.OneTime: `{"text":"Ann"}`, channel.LaneSMS: "Ann", channel.LaneEmail: ""} {
		batch, refused := def.Compose(lane, "The School", people)
		require.Equal(t, lane, batch.Lane)
		require.Len(t, batch.Messages, 2, lane)
		require.Equal(t, channel.Message{Delivery: 1, To: "p1", Unsubscribe: "https://go.example.com/u/1",
			Body: batch.Messages[0].Body, Fill: batch.Messages[0].Fill}, batch.Messages[0])
		require.Equal(t, first, string(batch.Messages[0].Body))
		require.Equal(t, "otn-3", batch.Messages[1].Token, "in the order given")
		require.Len(t, refused, 1)
		require.Equal(t, channel.Refused, refused[2].Outcome)
		require.Equal(t, content.CodeEmpty, refused[2].Code)
		require.NotEmpty(t, refused[2].Detail)
	}
}

func TestComposeSharesTheMailOfABatch(t *testing.T) {
	t.Parallel()
	def := define(t, named, channel.LaneEmail)
	batch, _ := def.Compose(channel.LaneEmail, "The School", people)
	require.Equal(t, def.Content.Mail(), batch.Mail)
	require.Len(t, batch.Messages[0].Fill, len(batch.Mail.Holes))
	require.Contains(t, batch.Messages[0].Fill, "Ann")
	texts, _ := def.Compose(channel.LaneSMS, "The School", nil)
	require.Empty(t, texts.Mail)
}

func TestComposeKnowsTheContactThePageAndTheCampaign(t *testing.T) {
	t.Parallel()
	def := define(t, content.Source{SMS: &content.SMS{Text: `{{ contact.external_id }}|{{ contact.last_name }}|{{ contact.email }}|{{ contact.phone }}|{{ contact.locale }}|` +
		`{{ contact.attributes.town }}|{{ page.name }}|{{ campaign.name }}|{{ link }}`}}, channel.LaneSMS)
	batch, refused := def.Compose(channel.LaneSMS, "The School", []campaign.Recipient{{Delivery: 1, ExternalID: "x1", LastName: "Lee", Email: "a@example.com",
		Phone: "+447700900001", Locale: "en-GB", Attributes: json.RawMessage(`{"town":"Leeds"}`), Link: "L"}})
	require.Empty(t, refused)
	require.Equal(t, "x1|Lee|a@example.com|+447700900001|en-GB|Leeds|The School|Spring|L", string(batch.Messages[0].Body))
}

func TestSampleShowsEveryChannel(t *testing.T) {
	t.Parallel()
	s := define(t, named, channel.Window, channel.LaneSMS, channel.LaneEmail).Sample("The School", people[0])
	require.JSONEq(t, `{"text":"Ann"}`, string(s.Messenger))
	require.Equal(t, "Ann", s.SMS)
	require.Equal(t, "Ann", s.Email.Subject)
	require.Equal(t, "Come to The School: https://go.example.com/l/1 https://go.example.com/u/1\n\n---\n"+
		"You get this e-mail because you agreed to e-mails from us.\nUnsubscribe: https://go.example.com/u/1\n\n"+
		"The School\n1 Quay Street, Leeds LS1 1AA\n", s.Email.Text)
	require.Empty(t, s.Problems)
}

func TestSampleSaysWhatCannotBeRendered(t *testing.T) {
	t.Parallel()
	s := define(t, named, channel.Window, channel.LaneSMS, channel.LaneEmail).Sample("The School", people[1])
	require.Nil(t, s.Messenger)
	require.Empty(t, s.SMS)
	require.Nil(t, s.Email)
	var got []string
	for _, p := range s.Problems {
		got = append(got, p.Pointer+" "+p.Code)
	}
	require.Equal(t, []string{"/content/messenger content_empty", "/content/sms content_empty", "/content/email content_empty"}, got)
}

func TestSampleLeavesOutWhatIsNotSaid(t *testing.T) {
	t.Parallel()
	s := define(t, content.Source{SMS: text}, channel.LaneSMS).Sample("The School", people[0])
	require.Nil(t, s.Messenger)
	require.Nil(t, s.Email)
	require.NotEmpty(t, s.SMS)
	require.Empty(t, s.Problems)
}

func TestComposeKeepsHowLoudlyAMessageArrives(t *testing.T) {
	t.Parallel()
	quiet := *chat
	quiet.NotificationType = content.NoPush
	batch, _ := define(t, content.Source{Messenger: &quiet}, channel.Window).Compose(channel.Window, "The School", people[:1])
	require.Equal(t, "NO_PUSH", batch.Messages[0].Quiet)
}
