package channel

// Failure is what an EventFailed says, as what came of sending the message it is
// about. Such a message had been taken.
func (e *Event) Failure() Result {
	r := Result{Outcome: e.Outcome, Code: e.Code, Soft: e.Soft, Refusal: e.Reason, Filtered: e.Filtered, Countrywide: e.Countrywide,
		RetryAfter: e.RetryAfter, Throttled: e.Throttled, Tries: e.Tries, Detail: "told by callback"}
	if len(e.ProviderIDs) > 0 {
		r.ProviderID = e.ProviderIDs[0]
	}
	return r
}
