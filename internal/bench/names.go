package bench

import (
	"slices"
	"strings"
)

// ArmNames returns the names by which arms can be chosen: of each of them, and of those that
// differ in their route alone. Rivals that the user names have others.
func ArmNames() []string {
	var list []string
	for _, name := range armNames(nil) {
		kind, _, _ := strings.Cut(name, ":")
		for _, n := range []string{kind, name} {
			if !slices.Contains(list, n) {
				list = append(list, n)
			}
		}
	}
	return list
}
