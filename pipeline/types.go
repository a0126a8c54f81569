package pipeline

import (
	"cmp"
	"time"
)

// Pipeline is one file: streams, and the servers and HTTP settings they share.
type Pipeline struct { //nolint:recvcheck // Format must hold for values, too
	Name     string   // prefix of topics, groups and transactional ids; [a-z0-9][a-z0-9_-]*, at most 60 bytes
	Kafka    Kafka    //
	Database Database //
	DataDir  string   // where the embedded servers keep their files
	Webhooks Webhooks // where streams are delivered
	Streams  []Stream // in the order of the file

	// Line says that this is not what a file has, but a line of one of its streams; nil: it is. See docs/generations.md.
	Line *Line `json:"-"`

	// Secrets are the texts that must not be seen: of references, and what stands in the file as a credential. Some may
	// be part of others. Nil for a pipeline that was not loaded from a file.
	Secrets []Reference `json:"-"`
}

// Line says of which pipeline a line is.
type Line struct {
	Of     string // name of the pipeline whose raw topic it reads
	Number uint16 // 2 or more
}

// Kafka says which brokers to use and how the topics are made.
type Kafka struct {
	Embedded       bool          // an in-process broker (kfake) in DataDir; Brokers is filled in by whoever starts it
	Brokers        []string      // host:port, at least one unless Embedded
	TLS            *TLS          // nil: plain text
	SASL           *SASL         // nil: none
	Partitions     int32         // of raw, processed and dead-letter topics, 1–10,000; all three have the same number
	Replication    int16         // replication factor; -1: the broker's default
	RawRetention   time.Duration // of raw topics; 0: for ever (raw is the archive)
	Retention      time.Duration // of processed topics; 0: for ever
	MaxRecordBytes int32         // the largest record that is accepted, key and headers included
}

// TLS is how servers, brokers or an API, are reached when they speak TLS.
type TLS struct {
	CAFile     string // PEM; empty: the system's
	CertFile   string // client certificate, PEM; with KeyFile
	KeyFile    string
	ServerName string // empty: the host that is dialled
}

// SASL is how the brokers are told who we are.
type SASL struct {
	Mechanism string // PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	Username  string
	Password  Secret
}

// Database says where the rows go.
type Database struct {
	Embedded bool   // a SQLite file in DataDir
	MySQL    Secret // a go-sql-driver DSN: user:password@tcp(host:port)/schema
}

// Stream is one API resource, one raw topic, one list of steps, one processed topic and one table.
type Stream struct {
	Name    string
	Ingest  Ingest
	Process []Step
	Sink    Sink
}

// Ingest is how the records of a stream are fetched. The file's `http` section has been merged in.
type Ingest struct {
	HTTP        HTTP
	Method      string              // of requests; empty: GET, or POST with a Body
	Path        string              // appended to HTTP.BaseURL; may hold placeholders
	Job         *Job                // the request creates a report job, whose files are the pages; nil: it gives a page
	Events      *Events             // the answer is a stream of Server-Sent Events that is followed; nil: it is a page
	Webhook     *Webhook            // how the records are delivered: then nothing is asked for; nil: they are fetched
	Query       map[string][]string // parameters, each with one value or several; they may hold placeholders
	Body        *Body               // of requests; nil: none
	Records     []string            // path of object keys to the records; empty: the body itself
	Shape       Shape               // of what is there
	BodyFormat  string              // of the body: json, ndjson, csv, xml; empty: as its Content-Type says
	CSV         CSV                 // how CSV is written
	ZipEntry    string              // name of the file in a zip archive, as path.Match reads it; empty: there is one
	Key         []string            // paths (ParsePath) whose values make the raw key, in this order; at least one
	Version     string              // path of a field that grows with each revision; default: Incremental.Field; "": none
	VersionRule VersionRule         // how the values of Version are compared
	TimeZone    string              // of times that name none, of the IANA database; "": not known, they are read as UTC
	// a record whose version or incremental field cannot be read: "letter" or "wait"; "": letter
	Unreadable string
	Paginate   Paginate
	EmptyPages int // pages without records that are followed in a row at most; 0: any number
	// an expression over the body without its records; empty: what is commonly an error; "false": nothing is
	ErrorWhen   string
	Errors      []ErrorRule  // what is done about answers that are no pages; the first that holds counts
	NullIsEmpty bool         // null in the place of the records is a page without records, not an error
	Incremental *Incremental // nil: every pass fetches everything
	DeletedIn   *Ingest      // a resource whose records are keys of this one that were deleted; nil: there is none
	Deletions   bool         // each record says that its key was deleted: of a resource as DeletedIn
	// an expression over a record that is true if it says that its key was deleted; empty: none says so
	DeletedWhen string
	Deletes     *Deletes      // by complete reads; nil: what is not shown any more stays
	Slices      *Slices       // nil: the stream is one slice, named "", unless it has ForEach
	ForEach     *ForEach      // nil: requests are not made from the records of another stream
	Add         []Added       // fields that each record is given, in the order of the file
	Every       time.Duration // from the start of a pass to the start of the next; 0: one pass, then done
	Cron        *Cron         // when passes begin, in the place of Every; nil: see there
	Concurrency int           // pages in flight at most in one slice, where pages can be addressed; 1–256
}

// Body is the body of a request: exactly one of JSON, Form and Text is set; with GraphQL, JSON is its variables.
type Body struct {
	// a JSON text, in whose texts placeholders may stand; one that is nothing else takes the value as it is
	JSON    []byte
	GraphQL string              // a query; nothing in it is a placeholder
	Form    map[string][]string // as of HTML forms
	Text    string
	Type    string // Content-Type; empty: that of the kind
}

// ErrorRule says what is done about some answers: those with one of Statuses for which When is true.
type ErrorRule struct {
	Statuses []StatusRange // nil: any
	When     string        // an expression over the body, of a page without its records; empty: true
	Do       string        // retry, wait, skip, end, fail, refresh or split
	For      time.Duration // of wait: how long at least, where the API does not tell
}

// StatusRange is the HTTP statuses from From to To.
type StatusRange struct{ From, To int }

// Shape is how records stand in a body. The zero value is an array of objects; an object that has the key is taken for
// a record, and one whose members all have the key for a map.
type Shape struct {
	Kind  string // ShapeArray, ShapeMap, ShapeObject, ShapeValues; empty: see above
	KeyAs string // map: the field that takes the name of a member; empty: none
	As    string // values, and map: the field that takes a value that is no object; empty: such values stay as they are

	// Rows: the names of the values in each row stand in Columns, a path in the body, are Names, or, if neither is
	// there, are the first row.
	Columns []string
	Names   []string
}

// CSV says how CSV is written (RFC 4180). The zero value has commas, and the names of its fields in the first row.
type CSV struct {
	Delimiter string   // one character; empty: a comma
	Names     []string // of the fields; nil: the first row has them
}

// The kinds of Shape.
const (
	ShapeArray  = "array"  // an array of objects
	ShapeMap    = "map"    // an object whose members are the records
	ShapeObject = "object" // an object that is the only record
	ShapeValues = "values" // an array of texts, numbers, or true and false
	ShapeRows   = "rows"   // an array of arrays: each is a row, whose values have names
)

// Incremental asks the API only for what has changed. since is frozen during a pass and advances at its end
// to the highest value of Field seen; the next pass asks from since minus Lookback.
type Incremental struct {
	Field    string        // path (see ParsePath) of the field in a record
	Param    string        // query parameter that takes since; empty: it stands where {since} is in the request
	Start    string        // since of the first pass, in Format; empty: the parameter is left out
	Lookback time.Duration // of a time; records in it are fetched again, and written only if changed
	// Format is that of the parameter: rfc3339, date, unix, unix_ms, unix_us, unix_ns, integer; or as in strftime, see
	// [Layout], then of the field, too; "": as the field is.
	Format string
	Order  string  // "newest_first": records come so, and a pass ends where they are known; "": in any order
	Window *Window // nil: a pass asks for all since, at once
}

// Window cuts what lies between Incremental.Start and the first pass into queries with an end, which are fetched beside
// the passes.
type Window struct {
	Step time.Duration // of a window
	// query parameter that takes the end of a window; empty: it stands where {until} is in the request
	Param string
	// "inclusive": the API includes what lies on both, "exclusive": it includes neither, "days": both are whole days
	Bounds     string
	AtOnce     int // windows under way at most, 1–64
	MaxResults int // records that the API shows of one query; 0: any number
}

// Deletes says that a key which a complete read of its slice does not show is deleted.
type Deletes struct {
	AtMost float64       // percent of the known keys that one read may delete; beyond, a person is asked
	Every  time.Duration // from one complete read to the next, where other passes ask for changes; 0: every pass is one
	Steady bool          // no record slips between two pages while others come and go
	// 404 or 410 in the place of the first page of a child says that all that was fetched for its record is gone
	Missing bool
	MaxKeys int // that are remembered in one process, for all slices
}

// VersionRule says how the values of a version field are compared.
type VersionRule struct {
	As     string // "": whole numbers, and times; "time", "number", "unsigned", "digits" or "hex"
	Scale  int    // of As "number": as many digits behind the point count, 0–18
	Format string // of As "time", if it is none of the common ones: as in strftime, see [Layout]
	// Missing is what a record without version is, once a record of its slice had one: "letter", a dead letter;
	// "oldest", older than all that have one; "newest", of the highest version so far. "": newest, where Version is the
	// field of Incremental and slices share no keys; else letter.
	Missing string
}

// Slices cut a stream into slices that are fetched independently: {Name} in a request takes each of Values. With
// Crossed, there is a slice for each combination of values.
type Slices struct {
	Name    string
	Values  []string
	Crossed []SliceList // more lists, in the order of the file
	Shared  bool        // several slices may show a record of the same key, or a record may move from one to another
}

// SliceList is a list of what {Name} in a request takes.
type SliceList struct {
	Name   string
	Values []string
}

// ForEach makes a stream the child of another one: it has a slice for each of the records of Parent, or, with Slices,
// for each combination of a record and their values. {Parent.field} in a request takes a field of the record. A slice
// is fetched when its record was written to the raw topic of Parent, and every Ingest.Every besides, if that is not 0.
type ForEach struct {
	Parent   string
	OnDelete string // of the record: "keep" what the slice has given, or "delete" it; "": keep
	Shared   bool   // as of Slices
}

// Added is a field that records are given beside those that the API sent.
type Added struct {
	Name string
	Text string // with placeholders; one that is nothing else takes the value as it is
}

// SliceField stands for the name of the slice that a record comes from, in Ingest.Key and in expressions.
const SliceField = "$slice"

// Step is one operation of the processor: exactly one field is set.
type Step struct {
	Filter    *Filter
	Map       []Column
	Transform *Transform `json:",omitempty"`
}

// Transform names a transform that is written in Go: see package transform.
type Transform struct{ Name, Version string }

// String is how the file names it: name@version.
func (t *Transform) String() string { return t.Name + "@" + t.Version }

// Filter lets records through for which If is true. A record that it refuses has no row.
type Filter struct {
	If   string // an expression
	Once bool   // the condition never changes for a key: a refused record sends nothing, instead of removing a row
}

// Column is one output of a map step, in the order of the file.
type Column struct {
	Name string
	Expr string // an expression
}

// Sink is the table.
type Sink struct {
	Table   string
	Columns []ColumnType // in the order of the file
	// As is the name of the table in the database where it is not Table: of a line that is not live. It is no part of
	// the logic.
	As string `json:"-"`
}

// Name is the name of the table in the database.
func (s Sink) Name() string { return cmp.Or(s.As, s.Table) }

// KeyColumns returns the columns of the primary key, in order.
func (s Sink) KeyColumns() []ColumnType {
	var key []ColumnType
	for _, c := range s.Columns {
		if c.Key {
			key = append(key, c)
		}
	}
	return key
}

// ColumnType is a column of the table, parsed from text such as "decimal(12,2) not null".
type ColumnType struct {
	Name    string // of the column, and of the field of the processed record that it takes
	Type    string // lower case, as MySQL spells it, without attributes: bigint, varchar(255), decimal(12,2)
	NotNull bool   // implied by Key
	Key     bool
}
