package cli

import (
	"os"
	"strings"
)

// forgetServers removes libpq's PG* variables from the process, for verbs that
// run a private cluster. The driver reads them whatever its connection string
// says: a PGPASSWORD or PGSERVICE meant for another server would go to this one.
func forgetServers() error {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "PG") {
			continue
		}
		if err := os.Unsetenv(name); err != nil {
			return err
		}
	}
	return nil
}
