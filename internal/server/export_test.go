package server

import "slices"

// Fixed returns the names of the settings that transactions of ours fix, and of those that
// they carry from one node to the others.
func Fixed() (set, carried []string) {
	for _, s := range slices.Concat(waits, always, questions) {
		set = append(set, s.name)
	}
	for _, s := range (&Session{}).settings("", "", "") {
		carried = append(carried, s.name)
	}
	return set, append(carried, functions...)
}
