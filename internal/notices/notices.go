// Package notices has the licences of what is linked into the program. They ask to be
// handed on with it.
package notices

import _ "embed"

// Text has the licences and notices of Go and of all modules whose code is in the
// program. The test of this package writes it (make licenses), and fails where it is
// out of date.
//
//go:embed THIRD_PARTY_LICENSES.txt
var Text string
