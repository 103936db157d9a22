package citus

// What the tests of this package look at beyond its face.
var (
	Prepared        = prepared
	WaitFor         = waitFor
	WaitForRecovery = waitForRecovery
)
