package mutant

// The mechanisms that can be switched off.
const (
	CursorInTransaction  = "cursor-in-transaction"  // ingest: the cursor commits with the raw records
	OffsetsInTransaction = "offsets-in-transaction" // processor: raw offsets commit with the processed records
	RowVersions          = "row-versions"           // sink: only a higher version wins
	Marks                = "marks"                  // sink: an older record does not bring back a deleted row
	ExpectedOffset       = "expected-offset"        // sink: a batch applies only at the offset it was read from
	Fencing              = "fencing"                // ingest and sink: a process that lost its claim can no longer write
)
