package simulator

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of the Send API.
const (
	maxText         = 2000
	maxMetadata     = 1000
	maxPayload      = 1000
	maxQuickReplies = 13
	maxButtons      = 3
	maxButtonTitle  = 20
	maxButtonText   = 640
	maxElements     = 10
	maxElementText  = 80
	maxRequestTitle = 65
)

// sendRequest is the body of a send.
type sendRequest struct {
	Recipient     map[string]string `json:"recipient"`
	MessagingType string            `json:"messaging_type"`
	Tag           string            `json:"tag"`
	Notification  string            `json:"notification_type"`
	Message       *graphMessage     `json:"message"`
	AccessToken   string            `json:"access_token"`
}

type graphMessage struct {
	Text         *string      `json:"text"`
	Attachment   *attachment  `json:"attachment"`
	Template     *utility     `json:"template"`
	QuickReplies []quickReply `json:"quick_replies"`
	Metadata     string       `json:"metadata"`
}

type attachment struct {
	Type    string          `json:"type"`
	Payload templatePayload `json:"payload"`
}

type templatePayload struct {
	TemplateType string    `json:"template_type"`
	Title        string    `json:"title"`
	Payload      string    `json:"payload"`
	Text         string    `json:"text"`
	Buttons      []button  `json:"buttons"`
	Elements     []element `json:"elements"`
	URL          string    `json:"url"`
	AttachmentID string    `json:"attachment_id"`
	Reusable     bool      `json:"is_reusable"`
	Ratio        string    `json:"image_aspect_ratio"`
	CTA          string    `json:"notification_messages_cta_text"`
}

type quickReply struct {
	ContentType string `json:"content_type"`
	Title       string `json:"title"`
	Payload     string `json:"payload"`
}

type button struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
	URL     string `json:"url"`
}

type element struct {
	Title         string   `json:"title"`
	Subtitle      string   `json:"subtitle"`
	ImageURL      string   `json:"image_url"`
	Buttons       []button `json:"buttons"`
	DefaultAction *button  `json:"default_action"`
	MediaType     string   `json:"media_type"` // in the media template
	URL           string   `json:"url"`
	AttachmentID  string   `json:"attachment_id"`
}

type utility struct {
	Name     string `json:"name"`
	Language struct {
		Code string `json:"code"`
	} `json:"language"`
	Components []utilityPart `json:"components"`
}

// The kinds of recipient that are known here.
const (
	byPSID  = "id"
	byToken = "one_time_notif_token"
)

// check tells whether the request is well formed, before anybody is looked up.
func (m *sendRequest) check() *graphError {
	if len(m.Recipient) != 1 || m.Recipient[byPSID] == "" && !m.toToken() {
		return invalidParam("Param recipient must have exactly one of id, one_time_notif_token, notification_messages_token")
	}
	if e := m.checkType(); e != nil {
		return e
	}
	if m.Message == nil {
		return invalidParam("Param message must be given")
	}
	switch m.Notification {
	case "", "REGULAR", "SILENT_PUSH", "NO_PUSH":
	default:
		return invalidParam("Param notification_type must be one of {REGULAR, SILENT_PUSH, NO_PUSH}")
	}
	return m.Message.check()
}

// checkType demands a messaging type where the recipient is a person, and
// refuses tags: those that bots could use are retired.
func (m *sendRequest) checkType() *graphError {
	switch {
	case m.Tag != "" || m.MessagingType == "MESSAGE_TAG":
		return invalidParam("Invalid parameter: the message tag is deprecated")
	case m.isUtility() != (m.Message != nil && m.Message.Template != nil):
		return invalidParam("Param messaging_type UTILITY and message.template go together")
	case m.isUtility() && m.Recipient[byPSID] != "":
		return nil
	case m.MessagingType == "" && m.toToken():
		return nil
	case m.MessagingType == "RESPONSE", m.MessagingType == "UPDATE":
		return nil
	}
	return invalidParam("Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG, UTILITY}")
}

// toToken reports whether the message goes to a permission rather than a person.
func (m *sendRequest) toToken() bool {
	return m.Recipient[byToken] != "" || m.Recipient[byRecurring] != ""
}

func (m *sendRequest) isUtility() bool { return m.MessagingType == "UTILITY" }

func (m *graphMessage) check() *graphError {
	if len(m.Metadata) > maxMetadata {
		return invalidParam("Length of param message[metadata] must be less than or equal to %d", maxMetadata)
	}
	if e := m.checkReplies(); e != nil {
		return e
	}
	switch {
	case count(m.Text != nil, m.Attachment != nil, m.Template != nil) != 1:
		return invalidParam("Must have exactly one of text, attachment")
	case m.Text != nil:
		return within("message[text]", *m.Text, maxText)
	case m.Attachment != nil:
		return m.Attachment.check()
	}
	return nil
}

func count(conditions ...bool) (n int) {
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// within demands a text that is not empty and not too long.
func within(param, text string, limit int) *graphError {
	if text == "" {
		return invalidParam("Param %s must be a non-empty UTF-8 encoded string", param)
	}
	if len(text) > limit && utf8.RuneCountInString(text) > limit {
		return invalidParam("Length of param %s must be less than or equal to %d", param, limit)
	}
	return nil
}

func (m *graphMessage) checkReplies() *graphError {
	if len(m.QuickReplies) > maxQuickReplies {
		return invalidParam("Param quick_replies must have at most %d elements", maxQuickReplies)
	}
	for i := range m.QuickReplies {
		if e := m.QuickReplies[i].check("quick_replies[" + strconv.Itoa(i) + "]"); e != nil {
			return e
		}
	}
	return nil
}

func (q *quickReply) check(at string) *graphError {
	switch q.ContentType {
	case "user_email", "user_phone_number":
		return nil
	case "text":
		return firstOf(within(at+"[title]", q.Title, maxButtonTitle), within(at+"[payload]", q.Payload, maxPayload))
	}
	return invalidParam("Param %s[content_type] is not supported", at)
}

func firstOf(errs ...*graphError) *graphError {
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

func (p *templatePayload) check() *graphError {
	switch p.TemplateType {
	case "one_time_notif_req":
		return firstOf(within("title", p.Title, maxRequestTitle), within("payload", p.Payload, maxPayload))
	case askRecurring:
		return p.checkRecurring()
	case "button":
		if len(p.Buttons) == 0 {
			return invalidParam("Param buttons must have at least one element")
		}
		return firstOf(within("text", p.Text, maxButtonText), checkButtons(p.Buttons))
	case "generic":
		return p.checkElements()
	case "media":
		return p.checkMedia()
	}
	return invalidParam("Param template_type is not supported")
}

func checkButtons(buttons []button) *graphError {
	if len(buttons) > maxButtons {
		return invalidParam("Param buttons must have at most %d elements", maxButtons)
	}
	for _, b := range buttons {
		if fail := firstOf(within("button[title]", b.Title, maxButtonTitle), b.checkTarget()); fail != nil {
			return fail
		}
	}
	return nil
}

func (b *button) checkTarget() *graphError {
	switch b.Type {
	case "web_url":
		return checkURL("button[url]", b.URL)
	case "phone_number":
		if !strings.HasPrefix(b.Payload, "+") {
			return invalidParam("Param button[payload] must be a phone number with a leading plus sign")
		}
		return within("button[payload]", b.Payload, maxPayload)
	case "postback":
		return within("button[payload]", b.Payload, maxPayload)
	}
	return invalidParam("Param button[type] must be one of {web_url, postback, phone_number}")
}
