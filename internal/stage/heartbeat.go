package stage

import "time"

// Heartbeat is how often a member of a group with this session timeout says that it is there. The answer is also what
// tells it of a rebalance: a member without partitions learns no sooner that some were given up for it, and until then
// nobody reads them.
func Heartbeat(session time.Duration) time.Duration { return min(session/4, time.Second) }
