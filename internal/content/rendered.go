package content

import (
	"bytes"
	"encoding/json"
)

// What a rendered message looks like on its way to Messenger.
type (
	sentMessage struct {
		Text         string          `json:"text"`
		QuickReplies []QuickReply    `json:"quick_replies"`
		Attachment   *sentAttachment `json:"attachment"`
	}
	sentAttachment struct {
		Type    string `json:"type"`
		Payload struct {
			TemplateType     string        `json:"template_type"`
			Text             string        `json:"text"`
			Buttons          []Button      `json:"buttons"`
			ImageAspectRatio string        `json:"image_aspect_ratio"`
			Elements         []sentElement `json:"elements"`
			URL              string        `json:"url"`
			AttachmentID     string        `json:"attachment_id"`
			IsReusable       bool          `json:"is_reusable"`
		} `json:"payload"`
	}
	sentElement struct {
		Title         string   `json:"title"`
		Subtitle      string   `json:"subtitle"`
		ImageURL      string   `json:"image_url"`
		Buttons       []Button `json:"buttons"`
		DefaultAction struct {
			Type string `json:"type"`
			URL  string `json:"url"`
		} `json:"default_action"`
		MediaType    string `json:"media_type"`
		URL          string `json:"url"`
		AttachmentID string `json:"attachment_id"`
	}
)

// Rendered reads a message that Compiled.Messenger wrote back into the form in
// which an author writes one. What has no such form comes back as Raw.
func Rendered(message []byte) Messenger {
	var sent sentMessage
	d := json.NewDecoder(bytes.NewReader(message))
	d.DisallowUnknownFields()
	if d.Decode(&sent) != nil {
		return Messenger{Raw: message}
	}
	out := Messenger{Text: sent.Text, QuickReplies: sent.QuickReplies}
	for i := range out.QuickReplies {
		if q := &out.QuickReplies[i]; q.ContentType == ReplyText {
			q.ContentType = ""
		}
	}
	if sent.Attachment != nil && !sent.Attachment.into(&out) {
		return Messenger{Raw: message}
	}
	return out
}

func (a *sentAttachment) into(out *Messenger) bool {
	p := &a.Payload
	switch {
	case a.Type != "template":
		out.Attachment = &Attachment{Type: a.Type, URL: p.URL, AttachmentID: p.AttachmentID, Reusable: p.IsReusable}
	case p.TemplateType == "button":
		out.Text, out.Buttons = p.Text, p.Buttons
	case p.TemplateType == "media" && len(p.Elements) == 1:
		e := p.Elements[0]
		out.Media, out.Buttons = &Media{Type: e.MediaType, URL: e.URL, AttachmentID: e.AttachmentID}, e.Buttons
	case p.TemplateType == "generic":
		out.ImageAspectRatio = p.ImageAspectRatio
		for _, e := range p.Elements {
			out.Elements = append(out.Elements, Element{Title: e.Title, Subtitle: e.Subtitle, ImageURL: e.ImageURL, URL: e.DefaultAction.URL, Buttons: e.Buttons})
		}
	default:
		return false
	}
	return true
}
