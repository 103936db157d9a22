package verify

// What the tests of this package look at beyond its face.
var (
	OrphansSQL      = orphansSQL
	Prepared        = prepared
	WaitFor         = waitFor
	WaitForRecovery = waitForRecovery
)
