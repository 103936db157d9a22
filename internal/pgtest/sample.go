package pgtest

import "testing"

// Some returns the whole list, and in the short tests its first n: a list begins with the
// cases that have the least in common, so that each rule is among them.
func Some[T any](n int, list []T) []T {
	if testing.Short() {
		return list[:n:n] // nobody appends to the list itself
	}
	return list
}

// Sized returns a size for the short tests, or that for the full run.
func Sized[T any](short, full T) T {
	if testing.Short() {
		return short
	}
	return full
}
