package content

import (
	"fmt"
	"regexp"
)

// generic writes cards to swipe through: Meta's generic template.
func (m *message) generic() {
	m.checkCount(m.at+"/elements", len(m.src.Elements), MaxElements)
	m.template("generic")
	switch ratio := m.src.ImageAspectRatio; ratio {
	case "":
	case "horizontal", "square":
		m.member("image_aspect_ratio", ratio)
	default:
		m.c.fail(m.at+"/image_aspect_ratio", "unknown_type", "It is horizontal or square.")
	}
	m.name("elements")
	m.open('[')
	for i, e := range m.src.Elements {
		m.element(fmt.Sprintf("%s/elements/%d", m.at, i), e)
	}
	m.shut(']')
	m.endTemplate()
}

// element writes one card. Meta wants something besides the title: a subtitle
// that is all there is must therefore say something to everybody.
func (m *message) element(at string, e Element) {
	more := e.ImageURL != "" || e.URL != "" || len(e.Buttons) > 0
	if !more && e.Subtitle == "" {
		m.c.fail(at, "required", "Besides its title, an element needs a subtitle, an image, an address or a button.")
	}
	m.open('{')
	m.filled("title", at+"/title", e.Title, slot{limit: MaxElementText, mode: line})
	if e.Subtitle != "" {
		m.filled("subtitle", at+"/subtitle", e.Subtitle, slot{limit: MaxElementText, mode: line, optional: more})
	}
	if e.ImageURL != "" {
		m.filled("image_url", at+"/image_url", e.ImageURL, slot{limit: maxURL, mode: line, form: webLink})
	}
	if e.URL != "" {
		m.name("default_action")
		m.open('{')
		m.member("type", ButtonURL)
		m.filled("url", at+"/url", e.URL, slot{limit: maxURL, mode: line, form: webLink})
		m.shut('}')
		m.taps = true
	}
	m.buttons(at+"/buttons", e.Buttons)
	m.shut('}')
}

// media writes a picture or a video with buttons below: Meta's media template.
func (m *message) media() {
	src, at := m.src.Media, m.at+"/media"
	if src.Type != MediaImage && src.Type != MediaVideo {
		m.c.fail(at+"/type", "unknown_type", "Such a message shows an %s or a %s; send others as an attachment.", MediaImage, MediaVideo)
	}
	m.template("media")
	m.name("elements")
	m.open('[')
	m.open('{')
	m.member("media_type", src.Type)
	m.oneSource(at, src.URL, src.AttachmentID, facebookLink)
	m.buttons(m.at+"/buttons", m.src.Buttons)
	m.shut('}')
	m.shut(']')
	m.endTemplate()
}

// attachment writes a file, by its address or by the id it got when it was
// uploaded.
func (m *message) attachment() {
	src, at := m.src.Attachment, m.at+"/attachment"
	switch src.Type {
	case MediaImage, MediaVideo, MediaAudio, MediaFile:
	default:
		m.c.fail(at+"/type", "unknown_type", "An attachment is one of %s, %s, %s and %s.", MediaImage, MediaVideo, MediaAudio, MediaFile)
	}
	if src.Reusable && src.URL == "" {
		m.c.fail(at+"/reusable", "not_allowed", "What has an attachment_id is reused already.")
	}
	m.name("attachment")
	m.open('{')
	m.member("type", src.Type)
	m.name("payload")
	m.open('{')
	m.oneSource(at, src.URL, src.AttachmentID, webLink)
	if src.Reusable {
		m.name("is_reusable")
		m.literal("true")
	}
	m.shut('}')
	m.shut('}')
}

var attachmentID = regexp.MustCompile(`^[0-9]{1,40}$`)

// oneSource writes where a medium comes from.
func (m *message) oneSource(at, url, id string, f form) {
	switch {
	case url != "" && id != "":
		m.c.fail(at+"/attachment_id", "not_allowed", "Give a url or an attachment_id, not both.")
	case id != "":
		if !attachmentID.MatchString(id) {
			m.c.fail(at+"/attachment_id", "bad_format", "An attachment_id is a number.")
		}
		m.member("attachment_id", id)
	case url != "":
		m.filled("url", at+"/url", url, slot{limit: maxURL, mode: line, form: f})
	default:
		m.c.fail(at+"/url", "required", "Give a url or an attachment_id.")
	}
}
