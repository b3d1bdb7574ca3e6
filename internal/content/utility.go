package content

import (
	"maps"
	"slices"
	"strconv"
)

// Utility is a Messenger message made from a template that Meta approved: the
// campaign fills in the template's holes, and says nothing else.
type Utility struct {
	Template   string            `json:"template"`
	Language   string            `json:"language"`
	Parameters map[string]string `json:"parameters,omitempty"` // by the name of the hole
	Buttons    []UtilityButton   `json:"buttons,omitempty"`    // the template's postback buttons, in its order
}

// UtilityButton is what comes back when a postback button of a template is
// tapped.
type UtilityButton struct {
	Payload string `json:"payload"`
}

// The limits of a utility message, in characters. Meta states none for the text
// of a hole; a whole message has at most 2000.
const (
	MaxParameter    = 1000
	maxTemplateName = 512
	maxParameters   = 50
)

const pointerUtility = "/content/utility"

type utility struct {
	name, language string
	wire           wire
}

// utility writes the message in the form of Meta's page "Send a utility
// message".
func (c *compiler) utility(src *Utility) *utility {
	if src == nil {
		return nil
	}
	c.checkName("/template", src.Template)
	c.checkName("/language", src.Language)
	d := &draft{c: c}
	d.open('{')
	d.name("template")
	d.open('{')
	d.member("name", src.Template)
	d.name("language")
	d.open('{')
	d.member("code", src.Language)
	d.shut('}')
	if len(src.Parameters)+len(src.Buttons) > 0 {
		d.name("components")
		d.open('[')
		c.utilityBody(d, src.Parameters)
		c.utilityButtons(d, src.Buttons)
		d.shut(']')
	}
	d.shut('}')
	d.shut('}')
	return &utility{src.Template, src.Language, d.wire()}
}

func (c *compiler) checkName(field, name string) {
	if name == "" || len(name) > maxTemplateName {
		c.fail(pointerUtility+field, "bad_length", "Must be a text of 1 to %d characters.", maxTemplateName)
	}
}

// utilityBody fills the holes. Those of a template with numbered holes go by
// their place and have no name.
func (c *compiler) utilityBody(d *draft, parameters map[string]string) {
	switch n := len(parameters); {
	case n == 0:
		return
	case n > maxParameters:
		c.fail(pointerUtility+"/parameters", "too_many", "At most %d are possible.", maxParameters)
		return
	}
	component(d, "body")
	for _, name := range slices.SortedFunc(maps.Keys(parameters), byPlace) {
		d.open('{')
		d.member("type", "text")
		if _, numbered := placeOf(name); !numbered {
			d.member("parameter_name", name)
		}
		d.filled("text", pointerUtility+"/parameters/"+pointerPart(name), parameters[name], slot{limit: MaxParameter, mode: line})
		d.shut('}')
	}
	d.shut(']')
	d.shut('}')
}

func (c *compiler) utilityButtons(d *draft, buttons []UtilityButton) {
	if len(buttons) == 0 {
		return
	}
	if len(buttons) > MaxButtons {
		c.fail(pointerUtility+"/buttons", "too_many", "At most %d are possible.", MaxButtons)
	}
	component(d, "buttons")
	for i, b := range buttons {
		d.open('{')
		d.member("type", "POSTBACK")
		d.filled("payload", pointerUtility+"/buttons/"+strconv.Itoa(i)+"/payload", b.Payload, slot{limit: MaxPayload, mode: line})
		d.shut('}')
	}
	d.shut(']')
	d.shut('}')
}

// component begins a component with its parameters.
func component(d *draft, kind string) {
	d.open('{')
	d.member("type", kind)
	d.name("parameters")
	d.open('[')
}

// Template names the utility template; both are "" when the content has none.
func (c *Compiled) Template() (name, language string) {
	if c == nil || c.utility == nil {
		return "", ""
	}
	return c.utility.name, c.utility.language
}

// Utility returns the "message" object of the utility message for one contact,
// as JSON. Errors are fault.Invalid: it cannot be sent to this contact.
func (c *Compiled) Utility(v *Vars) ([]byte, error) {
	if c.utility == nil {
		return nil, refuse(CodeNone, "There is no utility message.")
	}
	return c.utility.wire.render(&frame{vars: v})
}
