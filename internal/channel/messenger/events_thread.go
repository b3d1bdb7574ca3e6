package messenger

import (
	"maps"
	"slices"

	"beckon/internal/channel"
)

// policy is Meta's word about the Page; no person is in it.
type policy struct {
	Action word `json:"action"`
	Reason word `json:"reason"`
}

func (p *policy) fill(e *channel.Event) bool {
	switch action := p.Action.simple(); action {
	case channel.StatusWarning, channel.StatusBlock, channel.StatusUnblock:
		e.Kind, e.PSID, e.Status, e.Reason = channel.EventPolicy, "", action, string(p.Reason)
		return true
	}
	return false
}

// handover moves the thread between the apps of a Page. A take without a new
// owner does not say who has it now: another app than the one it is told to.
type handover struct {
	NewOwner  word `json:"new_owner_app_id"`
	Requested word `json:"requested_owner_app_id"`
}

func (h *handover) fill(e *channel.Event, status string) {
	e.Kind, e.Status, e.App = channel.EventThread, status, string(h.NewOwner)
	if e.App == "" {
		e.App = string(h.Requested)
	}
}

// roles tells which role an app has on the Page: of the first one, where it
// tells of several.
func roles(e *channel.Event, apps map[word]any) {
	e.Kind, e.Status = channel.EventThread, channel.StatusRoles
	if all := slices.Sorted(maps.Keys(apps)); len(all) > 0 {
		e.App = kept(string(all[0]))
	}
}
