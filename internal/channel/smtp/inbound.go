package smtp

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"time"

	"beckon/internal/fault"
)

// Bounds of what is read of a message: reports are short.
const (
	deepest   = 5        // parts within parts
	mostParts = 50       // in all
	mostText  = 64 << 10 // bytes of a part that are looked at
)

// inbound is an e-mail that came back, taken apart.
type inbound struct {
	header    textproto.MIMEHeader
	parts     int
	report    bool                   // it is a report of delivery (RFC 3464)
	status    []textproto.MIMEHeader // of each recipient that it tells of
	feedback  textproto.MIMEHeader   // of a complaint (RFC 5965); nil when it is none
	returned  textproto.MIMEHeader   // headers of the message that it is about
	text      strings.Builder        // what people are to read
	addresses []string               // whom it may be about, most likely first
}

// open reads a message. Only one without any headers cannot be read.
func open(raw []byte) (*inbound, error) {
	m, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return nil, fault.New(fault.Malformed, "unreadable_event", "Cannot read the e-mail.")
	}
	in := &inbound{header: textproto.MIMEHeader(m.Header), returned: textproto.MIMEHeader{}}
	in.read(in.header, m.Body, 0)
	in.collect()
	return in, nil
}

// read takes one part. What of it is broken or cut off is left out.
func (in *inbound) read(h textproto.MIMEHeader, body io.Reader, depth int) {
	if in.parts++; in.parts > mostParts || depth > deepest {
		return
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && params["boundary"] != "" {
		in.readParts(body, params["boundary"], depth)
		return
	}
	b, _ := io.ReadAll(io.LimitReader(decoded(h, body), mostText)) // as far as it can be read
	switch kind {
	case "message/delivery-status", "message/global-delivery-status":
		in.report = true
		if groups := groups(b); len(groups) > 1 {
			in.status = append(in.status, groups[1:]...) // the first is about the message
		}
	case "message/feedback-report":
		if groups := groups(b); len(groups) > 0 && in.feedback == nil {
			in.feedback = groups[0]
		}
	case "message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "message/global", "message/global-headers":
		if groups := groups(b); len(groups) > 0 && len(in.returned) == 0 {
			in.returned = groups[0]
		}
	default:
		if strings.HasPrefix(kind, "text/") && in.text.Len() < mostText {
			in.text.Write(b)
			in.text.WriteByte('\n')
		}
	}
}

func (in *inbound) readParts(body io.Reader, boundary string, depth int) {
	parts := multipart.NewReader(body, boundary)
	for {
		p, err := parts.NextRawPart()
		if err != nil {
			return
		}
		in.read(p.Header, p, depth+1)
	}
}

func decoded(h textproto.MIMEHeader, body io.Reader) io.Reader {
	switch strings.ToLower(strings.TrimSpace(h.Get("Content-Transfer-Encoding"))) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		return quotedprintable.NewReader(body)
	}
	return body
}

// groups reads groups of fields with empty lines between. Lines that are no field
// are left out.
func groups(b []byte) (out []textproto.MIMEHeader) {
	group, last := textproto.MIMEHeader{}, ""
	for line := range strings.SplitSeq(string(b)+"\n", "\n") {
		line = strings.TrimRight(line, "\r")
		name, value, isField := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			if len(group) > 0 {
				out = append(out, group)
			}
			group, last = textproto.MIMEHeader{}, ""
		case line[0] == ' ' || line[0] == '\t':
			if all := group[last]; len(all) > 0 {
				all[len(all)-1] += " " + strings.TrimSpace(line)
			}
		case isField:
			last = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))
			group[last] = append(group[last], strings.TrimSpace(value))
		}
	}
	return out
}

// folded is what may hold a tag that the message's bytes hide behind an encoding.
func (in *inbound) folded() []byte {
	var b bytes.Buffer
	for _, v := range []string{in.returned.Get("Return-Path"), in.returned.Get("X-Envelope-From"), in.returned.Get("From"), in.feedback.Get("Original-Mail-From"), in.text.String()} {
		b.WriteString(v + "\n")
	}
	return b.Bytes()
}

// collect finds whom the message may be about.
func (in *inbound) collect() {
	for _, s := range in.status {
		in.add(s.Get("Original-Recipient"), s.Get("Final-Recipient"))
	}
	in.add(in.feedback["Original-Rcpt-To"]...)
	in.add(in.feedback["Removal-Recipient"]...)
	in.add(in.header.Get("X-Failed-Recipients"), in.header.Get("X-Hmxmroriginalrecipient"))
	in.add(in.returned.Get("To"), in.returned.Get("Delivered-To"))
	if len(in.status) == 0 && in.feedback == nil { // a letter in words
		for _, m := range anyAddress.FindAllString(in.text.String(), mostParts) {
			in.add(m)
		}
	}
}

// add reads "rfc822; person@example.com", "<person@example.com>" and the like.
func (in *inbound) add(values ...string) {
	for _, v := range values {
		if kind, rest, typed := strings.Cut(v, ";"); typed && !strings.Contains(kind, "@") {
			v = rest
		}
		if m := anyAddress.FindString(unquoted(v)); m != "" {
			in.addresses = append(in.addresses, strings.ToLower(m))
		}
	}
}

// unquoted undoes the xtext of an Original-Recipient (RFC 3461 §4).
func unquoted(v string) string {
	return strings.NewReplacer("+2B", "+", "+2b", "+", "+3D", "=", "+3d", "=").Replace(v)
}

// date is when the message was written; zero when it does not say.
func (in *inbound) date() time.Time {
	at, err := netmail.Header(in.header).Date()
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
