package sms

import (
	"slices"
	"strings"
)

// revokes reports whether a text that is no keyword seems to ask for no more
// texts. It is a guess, for a person to look at: nothing follows from it.
func (l lexicon) revokes(text string) bool {
	said := " " + fold(text) + " "
	within := func(part string) bool { return strings.Contains(said, part) }
	return slices.ContainsFunc(l.parts, within) || slices.ContainsFunc(l.signs, within)
}

// revocations are parts of sentences.
func revocations() []string {
	return []string{
		"stop texting", "stop messaging", "stop sending", "stop contacting", "stop bothering", "stop spamming", "stop calling", "stop writing", "stop these",
		"stop the texts", "stop the messages", "stop your messages", "stop this", "please stop", "stop please", "just stop", "stop now", "stop it",
		"dont text", "do not text", "dont message", "do not message", "dont contact", "do not contact", "dont send", "do not send", "never text",
		"no more texts", "no more messages", "no more sms", "unsubscribe", "opt out", "opt me out", "opting out", "remove me", "take me off", "remove my number",
		"delete my number", "lose my number", "leave me alone", "wrong number", "i revoke", "revoke my consent", "withdraw my consent", "not interested",
		"no me escriban", "no me escribas", "no me envien", "no me envies", "no quiero mas", "dejen de", "deja de enviar", "darme de baja", "dar de baja", "numero equivocado",
		"arretez de", "arrete de", "ne plus recevoir", "ne m envoyez plus", "ne menvoyez plus", "me desabonner", "me desinscrire", "laissez moi tranquille", "mauvais numero",
		"keine sms mehr", "keine nachrichten mehr", "nicht mehr schreiben", "nicht mehr kontaktieren", "lassen sie mich in ruhe", "lass mich in ruhe", "horen sie auf", "hor auf",
		"abmelden", "abbestellen", "falsche nummer",
		"nao quero mais", "nao me envie", "nao envie mais", "parem de", "pare de", "me tire da lista", "numero errado",
		"non scrivetemi", "non scrivermi", "non mandatemi", "non inviatemi", "smettetela", "smettila", "non voglio piu", "numero sbagliato",
		"geen berichten meer", "geen sms meer", "stop met", "wil geen", "uitschrijven", "afmelden", "verkeerd nummer",
		"nie pisz", "nie piszcie", "nie wysylaj", "nie wysylajcie", "nie chce wiecej", "prosze przestac", "zly numer",
		"не пишите", "не пиши", "не присылайте", "не отправляйте", "хватит", "отпишите", "отписаться", "прекратите", "не тот номер",
		"не пишіть", "не надсилайте", "досить", "відпишіть", "відписатися", "припиніть",
		"inga fler", "sluta skicka", "ikke send", "ikke flere", "ingen flere", "slutt a sende", "lopettakaa", "ala laheta", "alkaa lahettako",
		"mesaj atmayin", "mesaj atma", "mesaj gondermeyin", "rahatsiz etmeyin", "istemiyorum",
	}
}

func unspaced() []string {
	return []string{"送らないで", "配信停止", "やめてください", "别发", "不要再发", "不要再發", "別再發", "退订", "退訂", "ส่งมาอีก", "보내지 마", "수신거부"}
}
