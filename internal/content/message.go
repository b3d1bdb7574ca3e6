package content

import "encoding/json"

// Messenger is one Messenger message. It is one of five forms: a text, which may
// have buttons; elements; media, which may have buttons; an attachment; or raw.
// All but raw may have quick replies.
type Messenger struct {
	Text         string       `json:"text,omitempty"`
	QuickReplies []QuickReply `json:"quick_replies,omitempty"`
	Buttons      []Button     `json:"buttons,omitempty"`
	Elements     []Element    `json:"elements,omitempty"`
	// ImageAspectRatio of the elements: horizontal, which is Meta's default, or
	// square.
	ImageAspectRatio string      `json:"image_aspect_ratio,omitempty"`
	Media            *Media      `json:"media,omitempty"`
	Attachment       *Attachment `json:"attachment,omitempty"`
	// Raw is a message object of the Send API for what is not modelled here: a
	// JSON object whose strings are templates.
	Raw              json.RawMessage `json:"raw,omitempty"`
	NotificationType string          `json:"notification_type,omitempty"`

	// Tag and MessagingType are always refused, with the reason: the lane decides
	// them, and no tag is left that a campaign may carry.
	Tag           string `json:"tag,omitempty"`
	MessagingType string `json:"messaging_type,omitempty"`
}

// How loudly a message arrives; left out it is Regular.
const (
	Regular = "REGULAR"     // with sound or vibration
	Silent  = "SILENT_PUSH" // shown, without sound
	NoPush  = "NO_PUSH"     // found when the person looks
)

// The kinds of QuickReply; left out it is ReplyText.
const (
	ReplyText  = "text"
	ReplyEmail = "user_email"        // offers the person's own e-mail address
	ReplyPhone = "user_phone_number" // offers the person's own phone number
)

// QuickReply is an answer offered under the message. Its payload comes back
// when it is tapped. What a ReplyEmail or ReplyPhone says is Messenger's: it has
// no title and no payload, and is not shown to those of whom Messenger knows no
// address.
type QuickReply struct {
	ContentType string `json:"content_type,omitempty"`
	Title       string `json:"title,omitempty"`
	Payload     string `json:"payload,omitempty"`
}

// The kinds of Button.
const (
	ButtonURL      = "web_url"
	ButtonPostback = "postback"
	ButtonPhone    = "phone_number"
)

// Button is a button on the message: it opens URL, sends Payload back, or calls
// the number in Payload.
type Button struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	URL     string `json:"url,omitempty"`
	Payload string `json:"payload,omitempty"`
}

// Element is one card of those that a person swipes through. URL is what a tap
// on the card opens. A subtitle that is empty for a contact is left out.
type Element struct {
	Title    string   `json:"title"`
	Subtitle string   `json:"subtitle,omitempty"`
	ImageURL string   `json:"image_url,omitempty"`
	URL      string   `json:"url,omitempty"`
	Buttons  []Button `json:"buttons,omitempty"`
}

// The kinds of Media and Attachment; Media knows the first two.
const (
	MediaImage = "image"
	MediaVideo = "video"
	MediaAudio = "audio"
	MediaFile  = "file"
)

// Media is a picture or video that a message with buttons shows. It has either
// the address that it has on Facebook or the id that it got when uploaded.
type Media struct {
	Type         string `json:"type"`
	URL          string `json:"url,omitempty"`
	AttachmentID string `json:"attachment_id,omitempty"`
}

// Attachment is a file that is sent by itself, from an address or by the id that
// it got when uploaded. What is Reusable keeps an id at Meta.
type Attachment struct {
	Type         string `json:"type"`
	URL          string `json:"url,omitempty"`
	AttachmentID string `json:"attachment_id,omitempty"`
	Reusable     bool   `json:"reusable,omitempty"`
}
