package hours_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/fault"
	"beckon/internal/hours"
)

func TestEveryMistakeInTheHoursHasItsPointer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`:            "/allowed_hours type",
		`{`:             "/allowed_hours type",
		`"09:00"`:       "/allowed_hours type",
		`{"a/b": {}}`:   "/allowed_hours/a~1b unknown_lane",
		`{"sms": null}`: "/allowed_hours/sms type",
		`{"sms": {}}`:   "/allowed_hours/sms/from required, /allowed_hours/sms/to required",
		`{"sms": {"from": "9:00", "to": "20.00", "till": 1}}`:                            "/allowed_hours/sms/till unknown_field, /allowed_hours/sms/from bad_time, /allowed_hours/sms/to bad_time",
		`{"sms": {"from": "24:00", "to": "24:01"}}`:                                      "/allowed_hours/sms/from bad_time, /allowed_hours/sms/to bad_time",
		`{"sms": {"from": "09:60", "to": 20}}`:                                           "/allowed_hours/sms/from bad_time, /allowed_hours/sms/to bad_time",
		`{"sms": {"from": "-1:00", "to": "+9:00"}}`:                                      "/allowed_hours/sms/from bad_time, /allowed_hours/sms/to bad_time",
		`{"sms": {"from": "09:00", "to": "09:00"}}`:                                      "/allowed_hours/sms/to empty_span",
		`{"sms": {"from": "09:00", "to": "10:00", "days": []}}`:                          "/allowed_hours/sms/days type",
		`{"sms": {"from": "09:00", "to": "10:00", "days": ["mon", "monday", "mon", 1]}}`: "/allowed_hours/sms/days/1 bad_day, /allowed_hours/sms/days/2 duplicate, /allowed_hours/sms/days/3 bad_day",
		`{"email": {"from": "x", "to": "10:00"}, "pigeon": {}, "sms": 1}`:                "/allowed_hours/email/from bad_time, /allowed_hours/pigeon unknown_lane, /allowed_hours/sms type",
	} {
		_, err := hours.Parse(json.RawMessage(text))
		var f *fault.Error
		require.True(t, errors.As(err, &f) && f.Kind == fault.Invalid, "%s: %v", text, err)
		var got []string
		for _, one := range f.Fields {
			require.NotEmpty(t, one.Detail)
			got = append(got, one.Pointer+" "+one.Code)
		}
		require.Equal(t, want, strings.Join(got, ", "), text)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"sms": {"from": "22:00", "to": "06:00", "days": ["mon"]}}`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := hours.Parse(json.RawMessage(text)); err != nil {
			require.True(t, fault.Is(err, fault.Invalid))
		}
	})
}
