package loop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Words that end the loop for a person, and that begin it again. The whole of
// what they say must be one of them.
func isStop(said string) bool {
	switch said {
	case "stop", "stopp", "stop all", "stopall", "stop messages", "unsubscribe", "opt out", "quit", "leave me alone",
		"stoppen", "abmelden", "abbestellen", "uitschrijven", "afmelden",
		"arret", "arrêt", "arrête", "arreter", "arrêter", "désabonner", "se désabonner",
		"parar", "baja", "alto", "detener", "cancelar suscripción", "sair", "descadastrar",
		"ferma", "basta", "annulla iscrizione", "avsluta", "avslutt", "stopper", "lopeta", "dur", "стоп", "отписаться":
		return true
	}
	return false
}

func isStart(said string) bool {
	switch said {
	case "start", "unstop", "subscribe", "resume", "opt in", "anmelden", "inscrire", "suscribir", "старт":
		return true
	}
	return false
}

// word is somebody's word about being written to.
type word struct {
	stop bool
	at   time.Time
}

// wordsOf reads the last word on it of each person in what was heard.
func (l *Loop) wordsOf(h channel.Heard) map[uuid.UUID]word {
	out := map[uuid.UUID]word{}
	for _, ev := range h.Events {
		id, known := h.People[ev.PSID]
		stop, start := l.meant(ev)
		if !known || !stop && !start {
			continue
		}
		if w, has := out[id]; !has || ev.At.After(w.at) || ev.At.Equal(w.at) && stop {
			out[id] = word{stop, ev.At}
		}
	}
	return out
}

// meant reads one event. To agree to messages is to go on.
func (l *Loop) meant(ev channel.Event) (stop, start bool) {
	switch ev.Kind {
	case channel.EventOptIn:
		return false, ev.Token != ""
	case channel.EventMessage, channel.EventPostback:
		text, payload := channel.Words(ev.Text), channel.Words(ev.Payload)
		return isStop(text) || isStop(payload) || l.Leaves != nil && l.Leaves(ev), isStart(text) || isStart(payload)
	}
	return false, false
}

// heed notes who said stop, or that they want to go on. The newest word counts,
// in whatever order they come.
func (l *Loop) heed(tx *db.Tx, h channel.Heard) error {
	words := l.wordsOf(h)
	if len(words) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(words), func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
	pages, stop, at := slices.Repeat([]uuid.UUID{h.Page}, len(ids)), make([]int64, len(ids)), make([]time.Time, len(ids))
	for i, id := range ids {
		at[i] = words[id].at
		if words[id].stop {
			stop[i] = 1
		}
	}
	err := tx.Exec(`INSERT INTO stops (page_id, contact_id, stopped, at) SELECT v.page, v.contact, v.stop = 1, v.at FROM ? WHERE TRUE
		ON CONFLICT (page_id, contact_id) DO UPDATE SET stopped = excluded.stopped, at = excluded.at
		WHERE excluded.at > stops.at OR excluded.at = stops.at AND excluded.stopped`,
		tx.Values("v", db.UUIDs("page", pages), db.UUIDs("contact", ids), db.Int64s("stop", stop), db.Times("at", at))).Error
	if err != nil {
		return fmt.Errorf("note who said stop: %w", err)
	}
	return nil
}
