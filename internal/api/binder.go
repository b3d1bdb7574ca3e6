package api

import (
	"bytes"
	"encoding/json"

	"github.com/labstack/echo/v4"
)

// binder decodes the body that validate has read and checked. Numbers in free
// fields stay as they are written.
type binder struct{}

func (binder) Bind(into any, c echo.Context) error {
	data, _ := c.Get(bodyKey).([]byte)
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return malformed("The body does not fit the operation.").Because(err)
	}
	return nil
}
