package smtp

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"regexp"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
)

// leastBits is the shortest key that mailbox providers take (Gmail's and Yahoo's
// rules for senders); 2048 is the usual length.
const leastBits = 1024

// DKIM is how messages are signed.
type DKIM struct {
	Domain   string // for example example.com; of the sender's address, or one above or below it
	Selector string // the key's name in the DNS
	KeyFile  string // PEM file with the private RSA key
}

// signer signs messages; one without a key does not.
type signer struct {
	options dkim.SignOptions
	public  *rsa.PublicKey
}

// signed are the headers that a signature covers: all that say something
// (RFC 6376 §5.4.1), with both of one-click unsubscribing (RFC 8058 §4). Those
// that stand twice cannot be added later.
func signedHeaders() []string {
	return []string{
		"From", "From", "To", "To", "Subject", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding",
		"List-Unsubscribe", "List-Unsubscribe-Post", "Feedback-ID",
	}
}

// signer reads the key. From is the domain of the sender's address.
func (d DKIM) signer(from string) (*signer, error) {
	switch {
	case d == DKIM{}:
		return &signer{}, nil
	case d.Domain == "" || d.Selector == "" || d.KeyFile == "":
		return nil, invalid("dkim", "Signing with DKIM needs a domain, a selector and a key file.")
	case !hostname.MatchString(d.Domain) || !strings.Contains(d.Domain, ".") || !hostname.MatchString(d.Selector):
		return nil, invalid("dkim", "The domain or the selector for DKIM is not a name in the DNS.")
	case !aligned(d.Domain, from):
		return nil, invalid("dkim_domain", "The domain for DKIM must be that of the sender's address, or one above or below it: otherwise DMARC does not pass.")
	}
	file, err := os.ReadFile(d.KeyFile)
	if err != nil {
		return nil, invalid("dkim_key", "The key file for DKIM cannot be read.")
	}
	key := rsaKey(file)
	if key == nil {
		return nil, invalid("dkim_key", "The key file for DKIM holds no private RSA key in PEM, the only kind that all mailbox providers check.")
	}
	if key.N.BitLen() < leastBits {
		return nil, invalid("dkim_key", "The key for DKIM is shorter than 1024 bits, which mailbox providers do not take. 2048 is usual.")
	}
	return &signer{public: &key.PublicKey, options: dkim.SignOptions{
		Domain: strings.ToLower(d.Domain), Selector: d.Selector, Signer: key, HeaderKeys: signedHeaders(),
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}}, nil
}

// aligned reports whether DMARC takes a signature of one domain for mail from
// the other, as far as names can tell.
func aligned(domain, from string) bool {
	domain, from = strings.ToLower(domain), strings.ToLower(from)
	return domain == from || strings.HasSuffix(from, "."+domain) || strings.HasSuffix(domain, "."+from)
}

// hostname is letters, digits, hyphens and dots.
var hostname = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

func rsaKey(file []byte) *rsa.PrivateKey {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key
	}
	key, _ := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, _ := key.(*rsa.PrivateKey)
	return private
}

// sign puts the signature in front of a message.
func (s *signer) sign(message []byte) ([]byte, error) {
	if s.public == nil {
		return message, nil
	}
	var out bytes.Buffer
	options := s.options
	if err := dkim.Sign(&out, bytes.NewReader(message), &options); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// DKIMRecord returns the TXT record that must stand in the DNS for the messages'
// signatures to pass: its name and its value. Both are "" when messages are not
// signed here.
func (c *Client) DKIMRecord() (name, value string) {
	if c.dkim.public == nil {
		return "", ""
	}
	der, err := x509.MarshalPKIXPublicKey(c.dkim.public)
	if err != nil {
		return "", ""
	}
	return c.dkim.options.Selector + "._domainkey." + c.dkim.options.Domain, "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der)
}
