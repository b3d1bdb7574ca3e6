package campaign_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

var visit = &content.Utility{Template: "visit", Language: "en", Parameters: map[string]string{"day": "{{ contact.attributes.day }}"}}

func (b *bundle) template(name, status string) {
	b.t.Helper()
	b.exec(`INSERT INTO message_templates (id, page_id, name, language, category, status, components, status_at, created_at, updated_at)
		VALUES (?, ?, ?, 'en', 'UTILITY', ?, '[{"type":"BODY","text":"Your visit is on {{day}}."}]', ?, ?, ?)`, uuid.New(), b.page, name, status, noon, noon, noon)
}

// reminder is a transactional campaign.
func (b *bundle) reminder(u *content.Utility) campaign.Patch {
	p := b.patch(content.Source{Utility: u, SMS: text})
	p.Transactional = ptr(true)
	return p
}

func TestUtilityMessageMustFitATemplateOfThePage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		_, _, err := b.Create(t.Context(), b.reminder(visit))
		require.Equal(t, []string{"/content/utility/template template_not_found"}, mistakes(t, err))

		b.template("visit", channel.TemplateApproved)
		c, def, err := b.Create(t.Context(), b.reminder(visit))
		require.NoError(t, err)
		require.True(t, def.Transactional)
		require.True(t, b.get(c.ID).Transactional)
		require.Equal(t, []channel.Lane{channel.Utility, channel.LaneSMS}, def.Route, "the default route has what there is something to say on")
		require.Empty(t, def.Warnings)

		wrong := *visit
		wrong.Parameters = map[string]string{"month": "May"}
		_, _, err = b.Create(t.Context(), b.reminder(&wrong))
		require.Equal(t, []string{"/content/utility/parameters/day required", "/content/utility/parameters/month not_allowed"}, mistakes(t, err))

		plain := b.reminder(visit)
		plain.Transactional = nil
		_, _, err = b.Create(t.Context(), plain)
		require.Equal(t, []string{"/transactional not_transactional"}, mistakes(t, err))
		_, _, err = b.Update(t.Context(), c.ID, campaign.Patch{Transactional: ptr(false)})
		require.Equal(t, []string{"/transactional not_transactional"}, mistakes(t, err))
	})
}

func TestTemplateThatIsNotApprovedIsAWarning(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.template("visit", "pending")
		c, def, err := b.Create(t.Context(), b.reminder(visit))
		require.NoError(t, err)
		require.Equal(t, "template_not_approved", def.Warnings[0].Code)
		require.Contains(t, def.Warnings[0].Detail, "pending")
		_, err = b.Start(t.Context(), c.ID)
		require.NoError(t, err, "it may be approved in a moment")
		b.exec("DELETE FROM message_templates")
		list, err := b.Warnings(t.Context(), b.get(c.ID))
		require.NoError(t, err)
		require.Equal(t, "template_not_approved", list[0].Code)
	})
}

func TestRecurringHasToBeAskedFor(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		require.Equal(t, []channel.Lane{channel.Window, channel.OneTime, channel.LaneSMS}, b.lanes(b.draft()))
		p := b.patch(content.Source{Messenger: chat})
		p.Route = &[]channel.Lane{channel.Recurring}
		c, _, err := b.Create(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, []channel.Lane{channel.Recurring}, b.lanes(c))
	})
}
