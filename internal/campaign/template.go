package campaign

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// template is what the campaign needs to know of a utility template.
type template struct {
	Status     string
	Components string
}

func (c *Campaign) template(q *gorm.DB, name, language string) (t template, found bool, err error) {
	var rows []template
	err = q.Raw("SELECT status, CAST(components AS text) AS components FROM message_templates WHERE page_id = ? AND name = ? AND language = ?",
		c.PageID, name, language).Scan(&rows).Error
	if err != nil {
		return t, false, fmt.Errorf("look up a message template: %w", err)
	}
	if len(rows) == 0 {
		return t, false, nil
	}
	return rows[0], true, nil
}

// checkTemplate holds the utility message against the template that it names.
// The template need not be approved yet.
func (c *Campaign) checkTemplate(q *gorm.DB) ([]fault.Field, error) {
	src, err := c.Source()
	if err != nil || src.Utility == nil || src.Utility.Template == "" || src.Utility.Language == "" {
		return nil, err
	}
	t, found, err := c.template(q, src.Utility.Template, src.Utility.Language)
	if err != nil {
		return nil, err
	}
	if !found {
		return []fault.Field{{Pointer: "/content/utility/template", Code: "template_not_found", Detail: "The page has no message template of this name in this language."}}, nil
	}
	form, err := content.ReadForm([]byte(t.Components))
	if err != nil {
		return nil, err
	}
	return src.Utility.Fits(form), nil
}

// unapproved warns of a template with which nothing can be sent now.
func (s *Service) unapproved(ctx context.Context, def *Definition) ([]content.Warning, error) {
	name, language := def.Template()
	if !slices.Contains(def.Route, channel.Utility) {
		return nil, nil
	}
	t, found, err := (&Campaign{PageID: def.PageID}).template(s.db.Read(ctx), name, language)
	if err != nil || found && t.Status == channel.TemplateApproved {
		return nil, err
	}
	status := "not there any more"
	if found {
		status = t.Status
	}
	return []content.Warning{{Pointer: "/content/utility/template", Code: "template_not_approved",
		Detail: "The message template is " + status + ": as long as Meta has not approved it, people go on to the next lane."}}, nil
}
