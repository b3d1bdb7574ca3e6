package simulator

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxAddress = 2083

func checkURL(param, raw string) *graphError {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return invalidParam("Param %s must be a valid URL", param)
	}
	return within(param, raw, maxAddress)
}

func (a *attachment) check() *graphError {
	switch a.Type {
	case "image", "audio", "video", "file":
		return a.Payload.checkSource()
	case "template":
		return a.Payload.check()
	}
	return invalidParam("Param attachment[type] must be one of {image, audio, video, file, template}")
}

func (p *templatePayload) checkSource() *graphError {
	switch {
	case (p.URL == "") == (p.AttachmentID == ""):
		return invalidParam("Param attachment[payload] must have one of url, attachment_id")
	case p.URL != "":
		return checkURL("attachment[payload][url]", p.URL)
	}
	return nil
}

func (p *templatePayload) checkElements() *graphError {
	if n := len(p.Elements); n < 1 || n > maxElements {
		return invalidParam("Param elements must have 1 to %d elements", maxElements)
	}
	if p.Ratio != "" && p.Ratio != "horizontal" && p.Ratio != "square" {
		return invalidParam("Param image_aspect_ratio must be one of {horizontal, square}")
	}
	for i := range p.Elements {
		if fail := p.Elements[i].check(); fail != nil {
			return fail
		}
	}
	return nil
}

func (e *element) check() *graphError {
	if e.Subtitle == "" && e.ImageURL == "" && len(e.Buttons) == 0 && e.DefaultAction == nil {
		return invalidParam("An element must have a property besides its title")
	}
	if len(e.Subtitle) > maxElementText && utf8.RuneCountInString(e.Subtitle) > maxElementText {
		return invalidParam("Length of param subtitle must be less than or equal to %d", maxElementText)
	}
	if a := e.DefaultAction; a != nil && (a.Type != "web_url" || a.Title != "") {
		return invalidParam("Param default_action must be a web_url button without a title")
	} else if a != nil {
		if fail := checkURL("default_action[url]", a.URL); fail != nil {
			return fail
		}
	}
	if e.ImageURL != "" {
		if fail := checkURL("image_url", e.ImageURL); fail != nil {
			return fail
		}
	}
	return firstOf(within("title", e.Title, maxElementText), checkButtons(e.Buttons))
}

// checkMedia demands one picture or video: an upload, or what is on Facebook.
func (p *templatePayload) checkMedia() *graphError {
	if len(p.Elements) != 1 {
		return invalidParam("Param elements must have exactly one element")
	}
	e := &p.Elements[0]
	switch {
	case e.MediaType != "image" && e.MediaType != "video":
		return invalidParam("Param media_type must be one of {image, video}")
	case (e.URL == "") == (e.AttachmentID == ""):
		return invalidParam("Param elements[0] must have one of url, attachment_id")
	case e.URL != "" && !onFacebook(e.URL):
		return invalidParam("Param elements[0][url] must be the URL of media on Facebook")
	}
	return checkButtons(e.Buttons)
}

func onFacebook(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https" && (u.Host == "facebook.com" || strings.HasSuffix(u.Host, ".facebook.com"))
}

// uploads are the attachment ids that a message uses.
func (m *graphMessage) uploads() (ids []string) {
	if m.Attachment == nil {
		return nil
	}
	for _, e := range m.Attachment.Payload.Elements {
		ids = append(ids, e.AttachmentID)
	}
	ids = append(ids, m.Attachment.Payload.AttachmentID)
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}

// owns demands that every attachment of a message was uploaded to this Page.
func (p *page) owns(m *graphMessage) *graphError {
	ids := m.uploads()
	if len(ids) == 0 {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if !slices.Contains(p.uploads, id) {
			return invalidParam("Invalid attachment_id")
		}
	}
	return nil
}

// upload is POST /{page-id}/message_attachments. Nothing is fetched: every
// address works, but one whose path ends in /missing.
func (g *graph) upload(w http.ResponseWriter, r *http.Request) {
	p := g.pageOf(w, r)
	if p == nil {
		return
	}
	var ask struct {
		Message *graphMessage `json:"message"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&ask); err != nil || ask.Message == nil || ask.Message.Attachment == nil {
		invalidParam("Param message[attachment] must be given").answer(w)
		return
	}
	a := ask.Message.Attachment
	if fail := a.checkUpload(); fail != nil {
		fail.answer(w)
		return
	}
	id := strconv.FormatUint(1e15+rand.Uint64N(9e15), 10)
	p.mu.Lock()
	p.uploads = append(p.uploads, id)
	p.mu.Unlock()
	answerJSON(w, http.StatusOK, map[string]string{"attachment_id": id})
}

func (a *attachment) checkUpload() *graphError {
	switch {
	case a.Type == "template" || a.Payload.AttachmentID != "" || !a.Payload.Reusable:
		return invalidParam("Param message[attachment] must be a reusable image, audio, video or file with a url")
	case strings.HasSuffix(a.Payload.URL, "/missing"):
		return &graphError{status: http.StatusBadRequest, code: 100, subcode: 2018008, message: "(#100) Failed to fetch the file from the url"}
	}
	return a.check()
}
