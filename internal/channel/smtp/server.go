package smtp

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// The ports of SMTP: from server to server, and for those who hand mail in.
const (
	portRelay = "25"
	portPlain = "587" // encrypted by STARTTLS
	portTLS   = "465" // encrypted from the start
)

// security is how a connection comes to be encrypted.
type security string

const (
	implicit      security = "implicit"      // from the start
	required      security = "required"      // by STARTTLS, or not at all
	opportunistic security = "opportunistic" // by STARTTLS where the server offers it
	plain         security = "none"
)

// server is where messages are handed in.
type server struct {
	host, port string
	security   security
	user       string // "" does not log in
	password   string
}

func (s server) address() string { return net.JoinHostPort(s.host, s.port) }

// local reports whether the server runs on this machine, so that nobody listens
// in between.
func (s server) local() bool {
	ip := net.ParseIP(s.host)
	return s.host == "localhost" || ip != nil && ip.IsLoopback()
}

// Parse reports what is wrong with the URL of a server, without quoting it:
//
//	smtp://host            port 587, encrypted by STARTTLS
//	smtp://host:25         STARTTLS where the server offers it
//	smtps://host           port 465, encrypted from the start
//	smtp://user:password@… logs in; what is special in a URL is percent-encoded
//	…?starttls=required    (or opportunistic, or none) instead of the above
//
// A password goes over an encrypted connection only, or to this machine.
func Parse(address string) error {
	_, err := parse(address)
	return err
}

func parse(address string) (server, error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" || u.Opaque != "" {
		return server{}, invalid("url", "The address of the SMTP server is not like smtp://user:password@host:587; a password's special characters are written as in %40 for @.")
	}
	s := server{host: strings.ToLower(u.Hostname()), port: u.Port()}
	if s.user = u.User.Username(); s.user != "" {
		s.password, _ = u.User.Password()
	}
	if u.User != nil && (s.user == "" || s.password == "") {
		return server{}, invalid("login", "The address of the SMTP server must have both a user and a password, or neither.")
	}
	if s.security, err = securityOf(u, s.local()); err != nil {
		return server{}, err
	}
	if s.port == "" {
		s.port = map[bool]string{true: portTLS, false: portPlain}[s.security == implicit]
	}
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return server{}, invalid("url", "The port of the SMTP server is not a number from 1 to 65535.")
	}
	if s.security == plain && s.user != "" && !s.local() {
		return server{}, invalid("starttls", "The password of the SMTP server would be sent unencrypted: leave starttls=none out.")
	}
	return s, nil
}

func securityOf(u *url.URL, local bool) (security, error) {
	query, err := url.ParseQuery(u.RawQuery)
	wanted := security(query.Get("starttls"))
	switch {
	case err != nil || len(query) > 1 || len(query) == 1 && !query.Has("starttls"):
		return "", invalid("url", "The address of the SMTP server may have the parameter starttls, and no other.")
	case u.Scheme == "smtps" && len(query) == 0:
		return implicit, nil
	case u.Scheme == "smtps":
		return "", invalid("starttls", "smtps:// is encrypted from the start: leave starttls out.")
	case u.Scheme != "smtp":
		return "", invalid("url", "The address of the SMTP server must begin with smtp:// or smtps://.")
	case wanted == required || wanted == opportunistic || wanted == plain:
		return wanted, nil
	case len(query) > 0:
		return "", invalid("starttls", "starttls must be required, opportunistic or none.")
	case u.Port() == portRelay || local:
		return opportunistic, nil
	}
	return required, nil
}
