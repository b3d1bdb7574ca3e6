package simulator

import "strings"

// shown is how a phone would read a message out.
func (m *graphMessage) shown() string {
	switch {
	case m.Text != nil:
		return *m.Text
	case m.Template != nil:
		return "[" + m.Template.Name + "]"
	case m.Attachment == nil:
		return ""
	}
	p := &m.Attachment.Payload
	switch {
	case m.Attachment.Type != "template":
		return "[" + m.Attachment.Type + "] " + p.URL + p.AttachmentID
	case p.TemplateType == "one_time_notif_req":
		return p.Title + " [Notify Me]"
	case p.TemplateType == askRecurring:
		return p.Title + " [Get Updates]"
	case len(p.Elements) == 0:
		return p.Text + labels(p.Buttons)
	}
	cards := make([]string, len(p.Elements))
	for i := range p.Elements {
		cards[i] = p.Elements[i].shown()
	}
	return strings.Join(cards, "\n")
}

func (e *element) shown() string {
	if e.MediaType != "" {
		return "[" + e.MediaType + "] " + e.URL + e.AttachmentID + labels(e.Buttons)
	}
	out := e.Title
	if e.Subtitle != "" {
		out += ": " + e.Subtitle
	}
	return out + labels(e.Buttons)
}

func labels(buttons []button) string {
	var b strings.Builder
	for _, one := range buttons {
		b.WriteString(" [" + one.Title + "]")
	}
	return b.String()
}
