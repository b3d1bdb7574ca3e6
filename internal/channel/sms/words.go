package sms

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"beckon/internal/channel"
)

// lexicon knows what people write who want something, as fold has it.
type lexicon struct {
	whole map[string]channel.EventKind // by the whole text, without spaces
	parts []string                     // of texts that seem to refuse, between spaces
	signs []string                     // the same of languages without spaces
}

// newLexicon knows the words below, and more that mean stop.
func newLexicon(more []string) lexicon {
	l := lexicon{whole: map[string]channel.EventKind{}}
	l.add(channel.EventHelp, helps())
	l.add(channel.EventStart, starts())
	l.add(channel.EventStop, slices.Concat(stopsOfEurope(), stopsElsewhere(), more)) // in doubt, stop
	for _, phrase := range revocations() {
		l.parts = append(l.parts, " "+fold(phrase)+" ")
	}
	for _, sign := range unspaced() {
		l.signs = append(l.signs, fold(sign))
	}
	return l
}

func (l lexicon) add(kind channel.EventKind, words []string) {
	for _, word := range words {
		if key := strings.ReplaceAll(fold(word), " ", ""); key != "" {
			l.whole[key] = kind
		}
	}
}

// longestWord is more than any of the words takes, in bytes as they come.
const longestWord = 400

// wish is what a whole text asks for: EventStop, EventStart or EventHelp, and
// EventMessage when it is none of them. A word said several times counts as once.
func (l lexicon) wish(text string) channel.EventKind {
	if len(text) > longestWord {
		return channel.EventMessage
	}
	words := slices.Compact(strings.Fields(fold(text)))
	if kind, known := l.whole[strings.Join(words, "")]; known {
		return kind
	}
	return channel.EventMessage
}

// fold is what is compared of a text: its letters and digits, small and without
// accents, with one space between words.
func fold(text string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(strings.ToLower(strings.ToValidUTF8(text, " "))) {
		switch {
		case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r): // accents, and what is not seen
		case unicode.IsLetter(r), unicode.IsDigit(r), unicode.Is(unicode.Mc, r):
			b.WriteRune(plain(r))
		case r != '\'' && r != '’':
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(norm.NFC.String(b.String())), " ")
}

// plain is a letter without the stroke or the missing dot that Unicode does not
// take for an accent.
func plain(r rune) rune {
	switch r {
	case 'ı':
		return 'i'
	case 'ł':
		return 'l'
	case 'ø':
		return 'o'
	case 'đ':
		return 'd'
	}
	return r
}

// What Twilio itself acts upon in English: STOP, STOPALL, UNSUBSCRIBE, END, QUIT,
// REVOKE, OPTOUT and CANCEL. A word that means yes somewhere else is left out.
func stopsOfEurope() []string {
	return []string{
		"stop", "stop all", "unsubscribe", "end", "quit", "revoke", "opt out", "cancel", "stop it", "stop please", "please stop",
		"stop texting", "stop texting me", "stop messages", "unsubscribe me", "opt me out", "remove me", "no more texts",
		"parar", "baja", "alto", "detener", "cancelar", "salir", "darme de baja", "dar de baja", "cancelar suscripcion", "desuscribir",
		"arret", "arrete", "arretez", "arreter", "desabonner", "desabonnement", "se desabonner", "desinscrire", "desinscription",
		"stopp", "abmelden", "abmeldung", "abbestellen", "ende", "austragen", "widerruf", "stopp bitte", "bitte stopp", "bitte stoppen",
		"pare", "sair", "descadastrar", "cancelar inscricao", "cancelar subscricao", "remover", "desinscrever",
		"ferma", "basta", "annulla", "annulla iscrizione", "cancellami", "disiscrivi", "disiscrivimi", "disiscrizione",
		"stoppen", "afmelden", "uitschrijven", "uitschrijving", "afmelding",
		"wypisz", "wypisz mnie", "rezygnuje", "rezygnacja", "koniec", "anuluj", "zatrzymaj",
		"стоп", "отписаться", "отписка", "отпишите", "отпишите меня", "отмена", "отказ", "откажусь",
		"відписатися", "відписка", "відпишіть", "відпишіть мене", "відмова", "скасувати", "зупинити",
		"avsluta", "avregistrera", "avbryt", "avprenumerera", "avslutt", "avmeld", "afmeld", "frameld",
		"lopeta", "peruuta", "loobu", "lopeta viestit",
		"dur", "durdur", "iptal", "iptal et", "ret", "cik", "uyelikten cik",
		"odhlasit", "konec", "zrusit", "leiratkozas", "leiratkozom", "dezabonare", "dezabonez", "renunt", "opreste",
		"отпиши", "отпишете", "στοπ", "διαγραφη", "απεγγραφη", "odjava", "odjavi", "prekini",
		"atsisakau", "atsisakyti", "sustabdyti", "atteikties", "atteikums",
	}
}

func stopsElsewhere() []string {
	return []string{
		"توقف", "الغاء", "إلغاء", "ايقاف", "إيقاف", "الغاء الاشتراك", "إلغاء الاشتراك", "הסר", "הסרה", "הסירו", "הסירו אותי",
		"रोकें", "बंद करें", "बंद करो", "berhenti", "batal", "henti", "huy", "tu choi", "dung lai", "ยกเลิก", "หยุด",
		"停止", "配信停止", "解除", "ストップ", "수신거부", "중지", "그만", "退订", "退訂", "取消订阅", "取消訂閱", "取消", "td",
	}
}

// YES is not among them: it may answer anything. Where Twilio is set to take it
// for a start, OptOutType says so.
func starts() []string {
	return []string{
		"start", "unstop", "resume", "opt in", "subscribe", "resubscribe",
		"alta", "iniciar", "suscribir", "inscrire", "abonner", "reprendre", "demarrer", "anmelden", "starten", "comecar", "inscrever",
		"inizia", "iscrivi", "iscrivimi", "aanmelden", "wznow", "zapisz", "старт", "начать", "подписаться", "почати", "підписатися",
		"starta", "aloita", "basla", "baslat", "התחל", "ابدأ", "开始", "開始", "시작",
	}
}

func helps() []string {
	return []string{
		"help", "info", "ayuda", "aide", "hilfe", "ajuda", "aiuto", "hulp", "pomoc", "помощь", "допомога", "hjalp", "hjelp", "apua", "yardim",
		"עזרה", "مساعدة", "ヘルプ", "帮助", "幫助", "도움말",
	}
}
