package ledger

// SplitLane divides a lane, as Split does.
var SplitLane = split
