package budget

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Amount is money in millionths of a currency: exact, and fine enough for the
// price of one segment.
type Amount int64

// places is how many digits of an amount stand behind the point.
const places = 6

// mostUnits is the largest amount that can be written, in whole units.
const mostUnits = 1_000_000_000

var errAmount = errors.New("an amount is a decimal number such as 25.00, from 0 to 1000000000, with at most six digits behind the point")

// ParseAmount reads a decimal number such as "25.00" or "0.0075". Signs,
// exponents, blanks and a seventh digit behind the point are errors.
func ParseAmount(text string) (Amount, error) {
	whole, part, pointed := strings.Cut(text, ".")
	if !digits(whole) || len(whole) > 10 || pointed && (!digits(part) || len(part) > places) {
		return 0, errAmount
	}
	n, err := strconv.ParseInt(whole+part+strings.Repeat("0", places-len(part)), 10, 64)
	if err != nil || n > mostUnits*1_000_000 {
		return 0, errAmount
	}
	return Amount(n), nil
}

func digits(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// String writes the amount with at least two digits behind the point, and with as
// many as it takes to be exact.
func (a Amount) String() string {
	sign := ""
	n := uint64(a)
	if a < 0 {
		sign, n = "-", -n
	}
	part := strconv.FormatUint(1_000_000+n%1_000_000, 10)[1:]
	for len(part) > 2 && part[len(part)-1] == '0' {
		part = part[:len(part)-1]
	}
	return sign + strconv.FormatUint(n/1_000_000, 10) + "." + part
}

// Times is the price of n of something that costs a each. What is more than an
// Amount can say is the most that it can.
func (a Amount) Times(n int) Amount {
	if n > 0 && a > math.MaxInt64/Amount(n) {
		return math.MaxInt64
	}
	return a * Amount(n)
}
