package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxRead bounds an answer to a call that only reads.
const maxRead = 8 << 20

// ErrSilent says that a provider gave no answer, or none that can be read.
var ErrSilent = errors.New("no answer came that can be read")

// Refusal is an answer other than the one asked for. It holds nothing of what
// the provider says in words, which may quote addresses.
type Refusal struct {
	Status int           // of HTTP
	Code   int           // the provider's own, 0 when it names none
	After  time.Duration // how long to wait before the next call, 0 when it does not say
}

// Error names the status and the code.
func (r *Refusal) Error() string {
	if r.Code != 0 {
		return fmt.Sprintf("the answer is %d, with the code %d", r.Status, r.Code)
	}
	return fmt.Sprintf("the answer is %d", r.Status)
}

// Refused returns the status of a Refusal in err, or 0.
func Refused(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Status
	}
	return 0
}

// Do makes a call for an operator's look at an account: the JSON of a 2xx is read
// into out, unless that is nil. The error is a *Refusal, or wraps ErrSilent; it
// names no part of the request, which may hold what is private.
func Do(client *http.Client, req *http.Request, out any) error {
	res, err := client.Do(req) //nolint:gosec // the operator names the address
	if err != nil {
		return ErrSilent
	}
	defer res.Body.Close()
	body := io.LimitReader(res.Body, maxRead)
	if err := Check(res); err != nil {
		return err
	}
	if out == nil {
		_, _ = io.Copy(io.Discard, body) // so that the connection can be used again
		return nil
	}
	if err := json.NewDecoder(body).Decode(out); err != nil {
		return ErrSilent
	}
	return nil
}

// Check returns a *Refusal for every answer but a 2xx.
func Check(res *http.Response) error {
	if res.StatusCode/100 == 2 {
		return nil
	}
	var said struct {
		Code int `json:"code"`
	}
	_ = json.NewDecoder(io.LimitReader(res.Body, 1<<16)).Decode(&said) // what cannot be read names no code
	return &Refusal{Status: res.StatusCode, Code: said.Code, After: after(res.Header)}
}

// after reads when to call again: in seconds, or at a moment.
func after(h http.Header) time.Duration {
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(s) * time.Second
	}
	if at, err := strconv.ParseInt(h.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		return max(0, time.Until(time.Unix(at, 0)))
	}
	return 0
}
