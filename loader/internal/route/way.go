package route

// A Way is how rows reach their shard.
type Way int

// The ways.
const (
	ByCoordinator Way = iota // the coordinator, or the plain server, places them
	ByNode                   // Citus places them, on the node that holds the shard
	ByShard                  // into the shard itself
)
