package generate

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var partOfName = regexp.MustCompile(`^manifest\.([0-9]+)-of-([0-9]+)\.json$`)

// Missing says what is not there, or not yet, of the dataset in dir: parts of it, or
// files of a run that was stopped or goes on. It returns "" if nothing is, or if
// nothing there tells.
func Missing(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var found []int
	parts := 0
	for _, e := range entries {
		if isJournalName(e.Name()) {
			return fmt.Sprintf("its dataset is not finished (%s): run the same generate command again for the rest", e.Name()), nil
		}
		if m := partOfName.FindStringSubmatch(e.Name()); m != nil {
			part, _ := strconv.Atoi(m[1]) // digits; what is too large is no part of any
			parts, _ = strconv.Atoi(m[2])
			found = append(found, part)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if len(found) == parts {
		return "", nil
	}
	return fmt.Sprintf("it has %d of the dataset's %d parts: %s", len(found), parts, ranges(found)), nil
}

// ranges writes sorted numbers as 1, 3-5, 9.
func ranges(numbers []int) string {
	var list []string
	for i := 0; i < len(numbers); {
		j := i + 1
		for j < len(numbers) && numbers[j] == numbers[j-1]+1 {
			j++
		}
		text := strconv.Itoa(numbers[i])
		if j-i > 1 {
			text += "-" + strconv.Itoa(numbers[j-1])
		}
		list = append(list, text)
		i = j
	}
	return strings.Join(list, ", ")
}
