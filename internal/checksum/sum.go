package checksum

import (
	"fmt"
	"math/big"
	"math/bits"
)

// A Sum is an exact sum of hashes: a signed number of 128 bits, enough for 2^64 of
// them. The zero value is 0. Two Sums may be compared with ==.
type Sum struct {
	high int64
	low  uint64
}

// Add adds hash.
func (s *Sum) Add(hash int64) {
	low, carry := bits.Add64(s.low, uint64(hash), 0)
	s.low = low
	s.high += hash>>63 + int64(carry)
}

// Merge adds t.
func (s *Sum) Merge(t Sum) {
	low, carry := bits.Add64(s.low, t.low, 0)
	s.low = low
	s.high += t.high + int64(carry)
}

// Subtract takes t away.
func (s *Sum) Subtract(t Sum) {
	low, borrow := bits.Sub64(s.low, t.low, 0)
	s.low = low
	s.high -= t.high + int64(borrow)
}

// String returns the sum as a decimal number, as the server writes it.
func (s Sum) String() string {
	n := new(big.Int).Lsh(big.NewInt(s.high), 64)
	return n.Add(n, new(big.Int).SetUint64(s.low)).String()
}

// MarshalText returns the sum as a decimal number. JSON has it as a string: its
// numbers are not exact everywhere.
func (s Sum) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a decimal number.
func (s *Sum) UnmarshalText(text []byte) error {
	n, ok := new(big.Int).SetString(string(text), 10)
	if !ok {
		return fmt.Errorf("checksum %.50q: want a whole number", text)
	}
	high := new(big.Int).Rsh(n, 64) // rounds down, as the two's complement does
	if !high.IsInt64() {
		return fmt.Errorf("checksum %.50s: want a number of 128 bits", text)
	}
	s.high = high.Int64()
	s.low = n.Sub(n, high.Lsh(high, 64)).Uint64()
	return nil
}
