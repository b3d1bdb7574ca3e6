package simulator

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// graphError is an answer of Graph that is not a success.
type graphError struct {
	status        int
	code, subcode int
	message       string
	transient     bool
}

// name is the code as it is counted, such as "10/2018278".
func (e *graphError) name() string {
	if e.subcode == 0 {
		return strconv.Itoa(e.code)
	}
	return strconv.Itoa(e.code) + "/" + strconv.Itoa(e.subcode)
}

func invalidParam(format string, args ...any) *graphError {
	return &graphError{status: http.StatusBadRequest, code: 100, message: "(#100) " + fmt.Sprintf(format, args...)}
}

func errToken() *graphError {
	return &graphError{status: http.StatusBadRequest, code: 190, message: "Invalid OAuth access token - Cannot parse access token"}
}

func errProof() *graphError {
	return invalidParam("Invalid appsecret_proof provided in the API argument")
}

func errNoPerson() *graphError {
	return &graphError{status: http.StatusBadRequest, code: 100, subcode: 2018001, message: "(#100) No matching user found"}
}

func errWindow() *graphError {
	return &graphError{status: http.StatusBadRequest, code: 10, subcode: 2018278,
		message: "(#10) This message is sent outside of allowed window."}
}

func errBlocked() *graphError {
	return &graphError{status: http.StatusBadRequest, code: 551, subcode: 1545041,
		message: "(#551) This person isn't available right now."}
}

func errOneTimeToken(token, why string) *graphError {
	// The real one quotes what it was given; a client must not pass that on.
	return invalidParam("The one_time_notif_token %s %s", token, why)
}

// errThrottled comes in the two forms that Graph has for it.
func errThrottled(perPage bool) *graphError {
	if perPage {
		return &graphError{status: http.StatusBadRequest, code: 613, transient: true,
			message: "(#613) Calls to this api have exceeded the rate limit."}
	}
	return &graphError{status: http.StatusForbidden, code: 4, transient: true,
		message: "(#4) Application request limit reached"}
}

func errBroken() *graphError {
	return &graphError{status: http.StatusInternalServerError, code: 2, transient: true,
		message: "An unexpected error has occurred. Please retry your request later."}
}

// errFalse is the error that hides a message that was delivered all the same.
func errFalse() *graphError {
	return &graphError{status: http.StatusInternalServerError, code: 1, subcode: 1357046,
		message: "Received Invalid JSON reply."}
}

// errAsked turns a code such as "10/1893063", given to Refuse, into an answer.
func errAsked(name string) *graphError {
	code, sub, _ := strings.Cut(name, "/")
	e := &graphError{status: http.StatusBadRequest, message: "(#" + code + ") Refused on request of the simulation."}
	e.code, _ = strconv.Atoi(code)   // a wrong code becomes 0
	e.subcode, _ = strconv.Atoi(sub) // as does a missing subcode
	return e
}

// write gives the answer and counts it.
func (e *graphError) write(c *call) {
	c.desk.refuse(e.name())
	e.answer(c.w)
}

func (e *graphError) answer(w http.ResponseWriter) {
	body := map[string]any{
		"message": e.message, "type": "OAuthException", "code": e.code,
		"is_transient": e.transient, "fbtrace_id": "A" + newID()[:20],
	}
	if e.subcode != 0 {
		body["error_subcode"] = e.subcode
	}
	answerJSON(w, e.status, map[string]any{"error": body})
}
