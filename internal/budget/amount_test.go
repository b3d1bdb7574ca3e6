package budget_test

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/budget"
)

func TestAmountsAreReadAndWrittenExactly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0": "0.00", "25": "25.00", "25.00": "25.00", "0.0400": "0.04", "0.007912": "0.007912", "007.5": "7.50",
		"1000000000": "1000000000.00", "0.000001": "0.000001",
	} {
		a, err := budget.ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, want, a.String())
	}
	for _, text := range []string{"", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1 ", "0.0000001", "1000000000.000001", "99999999999", "9223372036854775807", "0x1", "١", "1.2.3", "NaN"} {
		_, err := budget.ParseAmount(text)
		require.Error(t, err, text)
	}
}

// What is written reads as the same, and means what a fraction of whole numbers
// does.
func TestAmountsAreFractionsOfWholeNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		a := budget.Amount(rapid.Int64Range(0, 1_000_000_000_000_000).Draw(rt, "a"))
		again, err := budget.ParseAmount(a.String())
		require.NoError(rt, err)
		require.Equal(rt, a, again)
		exact, ok := new(big.Rat).SetString(a.String())
		require.True(rt, ok)
		require.Zero(rt, exact.Cmp(big.NewRat(int64(a), 1_000_000)))
		n := rapid.IntRange(0, 1_000_000).Draw(rt, "n")
		product := new(big.Int).Mul(big.NewInt(int64(a)), big.NewInt(int64(n)))
		if !product.IsInt64() {
			product.SetInt64(math.MaxInt64)
		}
		require.Equal(rt, product.Int64(), int64(a.Times(n)), "never wraps around")
	})
}

func TestNegativeAmountsCanBeShown(t *testing.T) {
	t.Parallel()
	require.Equal(t, "-0.05", budget.Amount(-50_000).String())
	require.Equal(t, "-9223372036854.775808", budget.Amount(math.MinInt64).String())
}

func TestANumberBelongsToACountry(t *testing.T) {
	t.Parallel()
	for phone, want := range map[string]string{
		"+447700900123": "GB", "+14155550123": "US", "+14165550123": "CA", "+17875550123": "PR", "+353851234567": "IE", "+4915112345678": "DE",
		"+442079460000": "GB", "+447781000000": "GG", // Guernsey has the code of Britain
		"+77012345678": "KZ", "+79161234567": "RU", "+3906698": "VA",
		"+870773111632": "", "+8835100123456": "", "+999": "", "": "", "0771": "",
	} {
		require.Equal(t, want, budget.Country(phone), phone)
	}
}
