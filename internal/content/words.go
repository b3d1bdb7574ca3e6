package content

import (
	"strings"
	"sync"
)

// word is one of the words that the layout says by itself.
type word byte

const (
	noWord word = iota
	wordLanguage
	wordWhy
	wordUnsubscribe
)

// footer is what stands at the foot of an e-mail, in one language.
type footer struct{ language, why, unsubscribe string }

func (f footer) get(w word) string {
	switch w {
	case wordLanguage:
		return f.language
	case wordWhy:
		return f.why
	case wordUnsubscribe:
		return f.unsubscribe
	}
	return ""
}

// wordHole is filled in the contact's own language, else in the e-mail's, else
// in English.
func wordHole(w word, language string, how mode) *hole {
	return &hole{mode: how, word: w, fallback: language, key: "word|" + string('0'+rune(w)) + "|" + language}
}

func footerOf(locale, language string) footer {
	for _, tag := range []string{locale, language} {
		if f, known := footers()[primary(tag)]; known {
			return f
		}
	}
	return footers()["en"]
}

// primary is the language of a locale, without script and region.
func primary(locale string) string {
	if i := strings.IndexAny(locale, "-_."); i >= 0 {
		locale = locale[:i]
	}
	return strings.ToLower(locale)
}

func rightToLeft(language string) bool {
	switch primary(language) {
	case "ar", "fa", "he", "ur":
		return true
	}
	return false
}

// footers are by language. They name nobody, so that no name has to be inflected.
var footers = sync.OnceValue(func() map[string]footer {
	out := map[string]footer{}
	for _, f := range []footer{
		{"en", "You get this e-mail because you agreed to e-mails from us.", "Unsubscribe"},
		{"de", "Sie erhalten diese E-Mail, weil Sie dem Empfang unserer E-Mails zugestimmt haben.", "Abmelden"},
		{"fr", "Vous recevez cet e-mail parce que vous avez accepté de recevoir nos e-mails.", "Se désabonner"},
		{"es", "Recibe este correo porque aceptó recibir correos nuestros.", "Darse de baja"},
		{"it", "Ricevi questa e-mail perché hai accettato di ricevere le nostre e-mail.", "Annulla l’iscrizione"},
		{"nl", "U ontvangt deze e-mail omdat u hebt ingestemd met e-mails van ons.", "Afmelden"},
		{"pt", "Recebeu este e-mail porque aceitou receber os nossos e-mails.", "Cancelar inscrição"},
		{"da", "Du modtager denne e-mail, fordi du har sagt ja til e-mails fra os.", "Afmeld"},
		{"sv", "Du får det här mejlet eftersom du har tackat ja till mejl från oss.", "Avsluta prenumerationen"},
		{"nb", "Du får denne e-posten fordi du har sagt ja til e-post fra oss.", "Meld deg av"},
		{"no", "Du får denne e-posten fordi du har sagt ja til e-post fra oss.", "Meld deg av"},
		{"fi", "Saat tämän viestin, koska olet antanut luvan lähettää sinulle sähköpostia.", "Peruuta tilaus"},
		{"pl", "Otrzymujesz tę wiadomość, ponieważ wyrażono zgodę na wiadomości e-mail od nas.", "Wypisz się"},
		{"cs", "Tento e-mail dostáváte, protože jste souhlasili se zasíláním našich e-mailů.", "Odhlásit odběr"},
		{"sk", "Tento e-mail dostávate, pretože ste súhlasili so zasielaním našich e-mailov.", "Odhlásiť odber"},
		{"ro", "Primiți acest e-mail pentru că ați fost de acord să primiți e-mailuri de la noi.", "Dezabonare"},
		{"hu", "Azért kapja ezt az e-mailt, mert hozzájárult, hogy e-maileket küldjünk Önnek.", "Leiratkozás"},
		{"uk", "Ви отримали цей лист, бо погодилися отримувати наші листи.", "Відписатися"},
		{"ru", "Вы получили это письмо, потому что согласились получать наши письма.", "Отписаться"},
		{"tr", "Bu e-postayı, bizden e-posta almayı kabul ettiğiniz için alıyorsunuz.", "Abonelikten çık"},
		{"el", "Λαμβάνετε αυτό το μήνυμα επειδή συμφωνήσατε να λαμβάνετε e-mail από εμάς.", "Διαγραφή από τη λίστα"},
		{"ar", "تصلك هذه الرسالة لأنك وافقت على تلقي رسائل البريد الإلكتروني منا.", "إلغاء الاشتراك"},
		{"he", "קיבלת את ההודעה הזו כי הסכמת לקבל מאיתנו דוא״ל.", "הסרה מרשימת התפוצה"},
		{"id", "Anda menerima email ini karena telah setuju menerima email dari kami.", "Berhenti berlangganan"},
		{"vi", "Bạn nhận được email này vì đã đồng ý nhận email từ chúng tôi.", "Hủy đăng ký"},
		{"th", "คุณได้รับอีเมลนี้เนื่องจากคุณยินยอมรับอีเมลจากเรา", "ยกเลิกการรับอีเมล"},
	} {
		out[f.language] = f
	}
	return out
})
