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
	Unreadable  string              // a record whose version or incremental field cannot be read: "letter" or "wait"; "": letter
	Paginate    Paginate
	EmptyPages  int           // pages without records that are followed in a row at most; 0: any number
	ErrorWhen   string        // an expression over the body without its records; empty: what is commonly an error; "false": nothing is
	Errors      []ErrorRule   // what is done about answers that are no pages; the first that holds counts
	NullIsEmpty bool          // null in the place of the records is a page without records, not an error
	Incremental *Incremental  // nil: every pass fetches everything
	DeletedIn   *Ingest       // a resource whose records are keys of this one that were deleted; nil: there is none
	Deletions   bool          // each record says that its key was deleted: of a resource as DeletedIn
	DeletedWhen string        // an expression over a record that is true if it says that its key was deleted; empty: none says so
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
	JSON    []byte              // a JSON text, in whose texts placeholders may stand; one that is nothing else takes the value as it is
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

// Shape is how records stand in a body. The zero value is an array of objects; an object that has the key is taken for a record,
// and one whose members all have the key for a map.
type Shape struct {
	Kind  string // ShapeArray, ShapeMap, ShapeObject, ShapeValues; empty: see above
	KeyAs string // map: the field that takes the name of a member; empty: none
	As    string // values, and map: the field that takes a value that is no object; empty: such values stay as they are

	// Rows: the names of the values in each row stand in Columns, a path in the body, are Names, or, if neither is there, are
	// the first row.
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

// HTTP is how requests are made. It is shared by all streams that name the same API.
type HTTP struct {
	BaseURL   string            // absolute
	Secrets   []Reference       `json:"-"` // as Pipeline.Secrets: an answer may hold any of them
	Headers   map[string]Secret // sent with each request
	Auth      Auth
	Hosts     []string      // that next pages and redirects may lead to, beside the origin of BaseURL; *.example.com is all below it, * any
	TLS       *TLS          // nil: the system's certificate authorities, and no client certificate
	RateLimit *RateLimit    // nil: none. One budget for all streams with the same BaseURL host and the same limit
	Charset   string        // of bodies; empty: as the Content-Type says, else UTF-8
	MaxBody   int64         // bytes of a body at most, without its content coding; 0: any number
	Timeout   time.Duration // one request, from dial to the last byte of the body
	Retry     Retry
}

// Auth is at most one of its fields; none: requests show no credentials.
type Auth struct {
	Bearer  Secret
	Bearers []Secret // several tokens: when the quota of one is used up, another takes its turn
	APIKey  *APIKey
	Basic   *Basic
	OAuth2  *OAuth2
	Login   *Login
	JWT     *JWT
	AWS     *AWS
}

// APIKey is a secret in a header or in a query parameter: exactly one of Header and Param is set.
type APIKey struct {
	Header string
	Param  string
	Value  Secret
	Values []Secret // in the place of Value: several, as Auth.Bearers
}

// Basic is a user and a password (RFC 7617).
type Basic struct {
	Username string
	Password Secret
}

// OAuth2 gets access tokens from a token endpoint (RFC 6749): by client credentials, or with a refresh token. Access
// tokens are sent as Bearer.
type OAuth2 struct {
	TokenURL     string
	ClientID     string
	ClientSecret Secret
	InBody       bool // the client's credentials go into the body, not into the Authorization header
	Scopes       []string
	Params       map[string]Secret // more parameters of the token request
	RefreshToken Secret            // the first one; later ones are kept in ingest's state topic. Empty: client credentials
	Key          Secret            // that encrypts the tokens that are kept; with RefreshToken
}

// Login is a request that answers with a token, which is sent with all others: in a header, a parameter or a cookie.
type Login struct {
	Path         string // appended to HTTP.BaseURL
	Method       string // empty: POST
	Body         *Body
	Field        []string // path of the token in the answer; nil: it is in AnswerHeader or Cookie
	AnswerHeader string
	Cookie       string        // name of the cookie that the answer sets, and that is sent back
	ExpiresIn    []string      // path of the token's lifetime in seconds; nil: it is not told
	Lifetime     time.Duration // of a token; 0: until it is refused with 401
	Header       string        // that takes the token
	Prefix       string        // before the token in the header: "Bearer "
	Param        string        // query parameter that takes the token, in the place of Header
}

// RateLimit is a budget of requests: Requests in each Per, with bursts of up to Burst.
type RateLimit struct {
	Requests int
	Per      time.Duration
	Burst    int // 1 or more
}

// Retry is exponential backoff with full jitter between Initial and Max. Retry-After, where the API
// sends it, is honoured instead. Attempts bounds how often one page is tried before the pass is given
// up and begun again later from the last committed page; nothing is lost by giving up.
type Retry struct {
	Initial  time.Duration
	Max      time.Duration
	Attempts int
}

// Paginate is exactly one of its fields, or none for an API that answers everything at once.
type Paginate struct {
	Page   *PageNumber
	Offset *OffsetLimit
	Cursor *BodyCursor
	Link   *LinkHeader
	Keyset *Keyset
	Auto   bool // the first page shows it
}

// StopRule says how the end of a pagination is known: a page without records (empty), with fewer than asked for after
// one that was full (short), the last page once more (repeat), or a field of the body: the number of all records
// (total) or pages (pages), whether there is more (has_more), whether this was the end (end).
type StopRule struct {
	When   string   // "empty", "short", "repeat", "total", "pages", "has_more" or "end"; of a cursor "", "has_more" or "end"
	Field  []string // path of object keys, for those that need one
	Header string   // of the answer that holds the total or the pages, in the place of Field
}

// PageNumber numbers pages: ?page=1&per_page=100.
type PageNumber struct {
	Param     string
	Start     int64
	SizeParam string // empty: the size is not sent
	Size      int    // records a page; 0: not known
	Stop      StopRule
	PastEnd   []int // HTTP statuses with which the API answers for a page after the last one
}

// OffsetLimit addresses pages by the number of records before them: ?offset=200&limit=100.
type OffsetLimit struct {
	Param      string
	LimitParam string
	Limit      int
	Start      int64 // offset of the first record; 0 for most APIs, 1 for some
	Stop       StopRule
	PastEnd    []int // HTTP statuses with which the API answers for an offset after the last record
}

// BodyCursor is an opaque cursor in the body, or in a header, that is sent back. null, "", 0 or false ends the pass; so
// does a missing one, but on the first page of a pass only if nothing says that there is more.
type BodyCursor struct {
	Next       []string // path of object keys to the cursor; nil: it is in Header
	Header     string   // of the answer that holds the cursor
	As         string   // what the cursor is, of the constants; "": CursorValue, or CursorURL if neither Param nor Placed is set
	Take       string   // of a cursor that is a URL: only the value of this parameter of its query is the cursor
	Param      string   // that takes the cursor; empty: see Placed
	Placed     bool     // the cursor stands where {cursor} is in the request
	First      string   // the cursor of the first page; empty: that is asked for without one
	Stop       StopRule // a field that says whether there is more, beside the cursor; When "": there is none
	AbsentEnds bool     // the API leaves the cursor out where there is no other page: no notice about it
	Keep       *Keep    // the position from which the next pass goes on; nil: each pass begins again
}

// What a cursor is.
const (
	CursorValue   = "value"   // it is sent back as it is
	CursorURL     = "url"     // a URL, absolute or relative, that is followed
	CursorParams  = "params"  // a URL of which the parameters of the query are put into the request
	CursorMembers = "members" // an object whose members are put into the query of the request
)

// Keep is a position that outlives a pass: a delta link, a sync token, the number of the last change. The last page of
// a pass holds it, and the next pass asks from there, for what has changed since.
type Keep struct {
	Field []string // path of object keys to it, on the last page
	Param string   // query parameter that takes it on all pages of a pass; empty: it takes the place of the first cursor
}

// Keyset goes on after the last record of a page: ?starting_after=<its id>.
type Keyset struct {
	Field     []string // path of the field of a record that is sent back
	Param     string   // that takes it; empty: it stands where {cursor} is in the request
	First     string   // what the first page is asked for with; empty: nothing
	SizeParam string   // empty: the size is not sent
	Size      int      // records a page; 0: not known
	Stop      StopRule
}

// LinkHeader follows rel=next of the Link header (RFC 8288).
type LinkHeader struct {
	Rel        string // default next
	Params     bool   // only the parameters of the link's query are taken, into the request: host and path stay
	AbsentEnds bool   // the API leaves the header out where there is no other page: no notice about it
}

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

// Window cuts what lies between Incremental.Start and the first pass into queries with an end, which are fetched beside the passes.
type Window struct {
	Step       time.Duration // of a window
	Param      string        // query parameter that takes the end of a window; empty: it stands where {until} is in the request
	Bounds     string        // "inclusive": the API includes what lies on both, "exclusive": it includes neither, "days": both are whole days
	AtOnce     int           // windows under way at most, 1–64
	MaxResults int           // records that the API shows of one query; 0: any number
}

// Deletes says that a key which a complete read of its slice does not show is deleted.
type Deletes struct {
	AtMost  float64       // percent of the known keys that one read may delete; beyond, a person is asked
	Every   time.Duration // from one complete read to the next, where other passes ask for changes; 0: every pass is one
	Steady  bool          // no record slips between two pages while others come and go
	Missing bool          // 404 or 410 in the place of the first page of a child says that all that was fetched for its record is gone
	MaxKeys int           // that are remembered in one process, for all slices
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

// Slices cut a stream into slices that are fetched independently: {Name} in a request takes each of Values. With Crossed,
// there is a slice for each combination of values.
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
// for each combination of a record and their values. {Parent.field} in a request takes a field of the record. A slice is
// fetched when its record was written to the raw topic of Parent, and every Ingest.Every besides, if that is not 0.
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
	// As is the name of the table in the database where it is not Table: of a line that is not live. It is no part of the logic.
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
