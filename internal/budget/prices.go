package budget

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"
	"gorm.io/gorm"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// Prices is the operator's list of what one segment of a text costs. The zero
// value knows no price.
type Prices struct {
	Currency  string            // ISO 4217, "" while nobody has set prices
	Default   *Amount           // for every country that is not named; nil is none
	Countries map[string]Amount // by ISO 3166 code of two letters
	UpdatedAt time.Time
}

// Of returns the price of a segment to a country. False says that there is none:
// that is not the same as free.
func (p Prices) Of(country string) (Amount, bool) {
	if a, named := p.Countries[country]; named {
		return a, true
	}
	if p.Default != nil {
		return *p.Default, true
	}
	return 0, false
}

// Country returns the ISO 3166 code of the country that a number in E.164
// belongs to; "" when there is none, as for satellite phones.
func Country(phone string) string {
	n, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return ""
	}
	region := phonenumbers.GetRegionCodeForNumber(n)
	if region == "" { // a number that is not in use yet: the main country of its code
		region = phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode()))
	}
	if !isCountry(region) || region == "ZZ" {
		return ""
	}
	return region
}

func isCountry(code string) bool {
	return len(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z'
}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// mostPrice bounds the price of a segment: what is more is a slip of the pen.
const mostPrice = Amount(1000 * 1_000_000)

// ReadPrices reads a list as it is written, with amounts as decimal numbers. Its
// mistakes are fault.Invalid, all at once.
func ReadPrices(money string, fallback *string, countries map[string]string) (Prices, error) {
	p := Prices{Currency: money, Countries: make(map[string]Amount, len(countries))}
	var bad []fault.Field
	if !currency.MatchString(money) {
		bad = append(bad, fault.Field{Pointer: "/currency", Code: "bad_currency", Detail: "Must be an ISO 4217 code, for example EUR."})
	}
	if fallback != nil {
		a, err := price(*fallback)
		if err != nil {
			bad = append(bad, fault.Field{Pointer: "/default", Code: "bad_amount", Detail: err.Error()})
		}
		p.Default = &a
	}
	for _, code := range slices.Sorted(maps.Keys(countries)) {
		at := "/countries/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(code)
		if !isCountry(code) || phonenumbers.GetCountryCodeForRegion(code) == 0 {
			bad = append(bad, fault.Field{Pointer: at, Code: "bad_country", Detail: "Must be the ISO 3166 code of a country with telephones, for example GB."})
			continue
		}
		a, err := price(countries[code])
		if err != nil {
			bad = append(bad, fault.Field{Pointer: at, Code: "bad_amount", Detail: err.Error()})
		}
		p.Countries[code] = a
	}
	return p, fault.InvalidFields(bad...)
}

func price(text string) (Amount, error) {
	a, err := ParseAmount(text)
	if err == nil && a > mostPrice {
		err = fmt.Errorf("a segment costs at most %s", mostPrice)
	}
	return a, err
}

// Store keeps prices, and what campaigns may spend and have spent. It is safe for
// use by many goroutines and on many nodes.
type Store struct {
	db  *db.DB
	now func() time.Time
}

// NewStore returns a store over an open, migrated database.
func NewStore(d *db.DB, now func() time.Time) *Store { return &Store{d, now} }

// Prices returns the list; the zero value when nobody has set one.
func (s *Store) Prices(ctx context.Context) (Prices, error) { return prices(s.db.Read(ctx)) }

func prices(q *gorm.DB) (Prices, error) {
	var rows []priceRow
	if err := q.Raw("SELECT currency, fallback, countries, updated_at FROM sms_prices").Scan(&rows).Error; err != nil {
		return Prices{}, fmt.Errorf("read prices: %w", err)
	}
	if len(rows) == 0 {
		return Prices{}, nil
	}
	return rows[0].prices()
}

type priceRow struct {
	Currency  string
	Fallback  *Amount
	Countries string
	UpdatedAt time.Time
}

func (r priceRow) prices() (Prices, error) {
	p := Prices{Currency: r.Currency, Default: r.Fallback, UpdatedAt: r.UpdatedAt.UTC()}
	if err := json.Unmarshal([]byte(r.Countries), &p.Countries); err != nil {
		return p, fmt.Errorf("read prices: %w", err)
	}
	return p, nil
}

// SetPrices puts a list in the place of the one before, for all that is sent from
// now on. The currency cannot change while a campaign counts its budget in it:
// that is a fault.Conflict.
func (s *Store) SetPrices(ctx context.Context, p Prices) (Prices, error) {
	countries, err := json.Marshal(p.Countries)
	if err != nil {
		return p, fmt.Errorf("set prices: %w", err)
	}
	p.UpdatedAt = s.now()
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := checkCurrency(tx, p.Currency); err != nil {
			return err
		}
		return tx.Exec(`INSERT INTO sms_prices (id, currency, fallback, countries, updated_at) VALUES (1, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET currency = EXCLUDED.currency, fallback = EXCLUDED.fallback, countries = EXCLUDED.countries, updated_at = EXCLUDED.updated_at`,
			p.Currency, p.Default, string(countries), p.UpdatedAt).Error
	})
	if err != nil {
		return p, fmt.Errorf("set prices: %w", err)
	}
	return p, nil
}

// checkCurrency looks for open campaigns that count in another currency.
func checkCurrency(tx *db.Tx, money string) error {
	var open []uuid.UUID
	err := tx.Raw(`SELECT c.id FROM budgets b JOIN campaigns c ON c.id = b.campaign_id
		WHERE b.most_amount IS NOT NULL AND b.currency <> ? AND c.state IN ('scheduled', 'running', 'paused') ORDER BY c.id LIMIT 1`, money).Scan(&open).Error
	if err != nil || len(open) == 0 {
		return err
	}
	return fault.New(fault.Conflict, "currency_in_use", "The campaign %s has a budget in another currency: wait until it has finished, or change its budget.", open[0]).
		With(fault.Field{Pointer: "/currency", Code: "currency_in_use", Detail: "Must stay as it is while a campaign counts in it."})
}
