package privacy

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Hear takes the wishes of people who write that they want their data deleted.
// It does so in threads that another app holds too. It implements
// webhook.Listener.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	seen := map[string]bool{}
	for _, ev := range h.Events {
		language, asks := s.asks(ev)
		if !asks || seen[ev.PSID] {
			continue
		}
		seen[ev.PSID] = true
		known, err := s.knows(tx, h, ev.PSID)
		if err != nil {
			return err
		}
		if !known {
			continue // somebody else's, in whose thread we only listen
		}
		d := Deletion{Source: Chat, PageID: &h.Page, Language: language, RequestedAt: ev.At.UTC().Truncate(time.Microsecond),
			Hash: s.Box.Hash("deletion", "chat:"+h.Page.String()+":"+ev.PSID+":"+ev.MID+":"+fmt.Sprint(ev.At.UnixMicro()))}
		if err := s.take(ctx, tx, &d, ev.PSID); err != nil {
			return err
		}
	}
	return nil
}

// Asks reports whether an event is the wish of a person to have their data
// deleted.
func (s *Service) Asks(ev channel.Event) bool {
	_, asks := s.asks(ev)
	return asks
}

// asks reports whether an event is the wish of a person, and in which language.
func (s *Service) asks(ev channel.Event) (language string, asks bool) {
	ofPerson := ev.Kind == channel.EventMessage || ev.Kind == channel.EventStandby && ev.App == "" && len(ev.ProviderIDs) == 0
	if !ofPerson || ev.PSID == "" || ev.Text == "" || len(ev.Text) > longest {
		return "", false
	}
	language, asks = s.words[plain(ev.Text)]
	return language, asks
}

func (s *Service) knows(tx *db.Tx, h channel.Heard, psid string) (bool, error) {
	if _, known := h.People[psid]; known {
		return true, nil
	}
	held, err := s.Contacts.Holding(tx, psid)
	for _, a := range held {
		if a.PageID == h.Page {
			return true, err
		}
	}
	return false, err
}

// longest is more than any of the phrases takes.
const longest = 400

// plain is what is compared of a text: its letters and digits, small and without
// accents, with one space between words.
func plain(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(text)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mc, r):
			b.WriteRune(r)
		default:
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(norm.NFC.String(b.String())), " ")
}

// phrases are the texts that ask, as plain has them, each with its language. A
// person has to write one of them and nothing else: what merely contains it may
// be a question about it.
func phrases(more []string) map[string]string {
	out := map[string]string{}
	for language, list := range inLanguages() {
		for _, phrase := range list {
			out[plain(phrase)] = language
		}
	}
	for _, phrase := range more {
		if p := plain(phrase); p != "" {
			out[p] = ""
		}
	}
	return out
}

func inLanguages() map[string][]string {
	out := europe()
	maps.Copy(out, elsewhere())
	return out
}

func europe() map[string][]string {
	return map[string][]string{
		"en": {"delete my data", "please delete my data", "delete my data please", "delete all my data", "erase my data", "remove my data", "delete my personal data"},
		"de": {"lösche meine daten", "bitte lösche meine daten", "löschen sie meine daten", "bitte löschen sie meine daten", "meine daten löschen", "bitte meine daten löschen", "loesche meine daten", "meine daten loeschen"},
		"fr": {"supprimer mes données", "supprime mes données", "supprimez mes données", "effacer mes données", "efface mes données", "effacez mes données"},
		"es": {"borrar mis datos", "borra mis datos", "borren mis datos", "eliminar mis datos", "elimina mis datos", "eliminen mis datos"},
		"it": {"cancella i miei dati", "cancellate i miei dati", "cancellare i miei dati", "elimina i miei dati", "eliminate i miei dati", "eliminare i miei dati"},
		"pt": {"apagar os meus dados", "apague os meus dados", "apagar meus dados", "apague meus dados", "excluir meus dados", "exclua meus dados", "eliminar os meus dados"},
		"nl": {"verwijder mijn gegevens", "mijn gegevens verwijderen", "wis mijn gegevens", "verwijder mijn data"},
		"sv": {"radera mina uppgifter", "radera min data", "ta bort mina uppgifter"},
		"da": {"slet mine data", "slet mine oplysninger"},
		"nb": {"slett mine data", "slett dataene mine", "slett mine opplysninger"},
		"fi": {"poista tietoni", "poistakaa tietoni"},
		"pl": {"usuń moje dane", "usuńcie moje dane", "usunąć moje dane", "proszę usunąć moje dane"},
		"cs": {"smažte má data", "smaž má data", "smazat má data", "smažte moje data", "vymažte moje údaje"},
		"lt": {"ištrinkite mano duomenis", "ištrink mano duomenis", "ištrinti mano duomenis", "pašalinkite mano duomenis"},
		"ru": {"удалите мои данные", "удали мои данные", "удалить мои данные"},
		"uk": {"видаліть мої дані", "видали мої дані", "видалити мої дані"},
		"tr": {"verilerimi sil", "verilerimi silin", "kişisel verilerimi silin"},
	}
}

func elsewhere() map[string][]string {
	return map[string][]string{
		"ar": {"احذف بياناتي", "حذف بياناتي", "امسح بياناتي"},
		"hi": {"मेरा डेटा हटाएं", "मेरा डेटा मिटाएं", "मेरा डेटा डिलीट करें"},
		"id": {"hapus data saya", "tolong hapus data saya"},
		"ms": {"padam data saya", "padamkan data saya"},
		"tl": {"burahin ang data ko", "tanggalin ang data ko"},
		"vi": {"xóa dữ liệu của tôi", "xoá dữ liệu của tôi"},
		"th": {"ลบข้อมูลของฉัน"},
		"ja": {"データを削除して", "データを削除してください", "私のデータを削除して", "私のデータを削除してください"},
		"ko": {"내 데이터 삭제", "내 데이터를 삭제해 주세요", "제 데이터를 삭제해 주세요", "내 데이터 삭제해줘"},
		"zh": {"删除我的数据", "请删除我的数据", "刪除我的資料", "請刪除我的資料"},
	}
}

// answer is what somebody is told whose data is deleted.
func answer(language, status string) string {
	text, ok := answers()[language]
	if !ok {
		text = answers()["en"]
	}
	return text + " " + status
}

func answers() map[string]string {
	return map[string]string{
		"en": "Done: what we kept about you has been deleted. You can check it here:",
		"de": "Erledigt: Was wir über Sie gespeichert hatten, ist gelöscht. Das können Sie hier nachsehen:",
		"fr": "C'est fait : ce que nous avions enregistré sur vous a été supprimé. Vous pouvez le vérifier ici :",
		"es": "Hecho: hemos borrado lo que guardábamos sobre usted. Puede comprobarlo aquí:",
		"it": "Fatto: ciò che conservavamo su di lei non c'è più. Può verificarlo qui:",
		"pt": "Feito: apagámos o que guardávamos sobre si. Pode verificá-lo aqui:",
		"nl": "Klaar: wat we over u bewaarden is verwijderd. U kunt het hier nakijken:",
		"pl": "Gotowe: usunęliśmy przechowywane przez nas dane o Tobie. Możesz to sprawdzić tutaj:",
		"lt": "Atlikta: ištrynėme viską, ką apie jus saugojome. Tai galite patikrinti čia:",
		"ru": "Готово: всё, что мы о вас хранили, удалено. Это можно проверить здесь:",
		"uk": "Готово: усе, що ми про вас зберігали, видалено. Це можна перевірити тут:",
	}
}
