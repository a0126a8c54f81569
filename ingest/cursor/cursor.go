package cursor

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/ingest/paginate"
)

// version is the version of the format.
const version = 1

// Cursor is where a slice is in its API. It is committed with the records up to it.
type Cursor struct {
	Version int               `json:"v"`       // 0: the slice was never fetched
	Request string            `json:"request"` // hash of what the positions of the pass depend on in the pipeline file
	Pass    int64             `json:"pass"`    // number of the pass, from 1
	Started time.Time         `json:"started"` // start of the pass
	Kind    string            `json:"kind"`    // of Since and High: see [Scale.Kind]
	Since   *int64            `json:"since,omitempty"`
	High    *int64            `json:"high,omitempty"` // highest value of the incremental field seen in the pass
	Next    paginate.Position `json:"next"`           // the page after the last committed one
	Partial *Partial          `json:"part,omitempty"` // how much of the page Next is committed already; nil: nothing
	Done    bool              `json:"done"`           // the pass has ended
	Ended   time.Time         `json:"ended,omitzero"`
}

// Partial says how far a page is that commits in several transactions.
type Partial struct {
	Ordinal int    `json:"ordinal"` // of the next record
	Hash    string `json:"hash"`    // of the page, in hexadecimal digits
}

// Start is the cursor of a slice that was never fetched.
func Start(kind string) Cursor { return Cursor{Version: version, Kind: kind, Done: true} }

// Begin is the start, at a time, of the pass after c, whose first page is first. The caller sets Request.
func (c Cursor) Begin(at time.Time, first paginate.Position) Cursor {
	return Cursor{Version: version, Pass: c.Pass + 1, Started: stamp(at), Kind: c.Kind, Since: c.Since, Next: first}
}

// End is c after the last page of its pass. Since moves to the highest value seen, but for times not past the start of
// the pass: what changed after that may be on a page that was fetched before it changed.
func (c Cursor) End(at time.Time) Cursor {
	c.Done, c.Ended, c.Partial = true, stamp(at), nil
	if c.High == nil {
		return c
	}
	high := *c.High
	if c.Kind != kindInteger {
		high = min(high, c.Started.UnixMicro())
	}
	if c.Since == nil || high > *c.Since {
		c.Since = &high
	}
	return c
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// Encode is the cursor as the state topic holds it.
func (c Cursor) Encode() ([]byte, error) { return json.Marshal(c) }

// Decode reads what [Cursor.Encode] gave for the slice with that key.
func Decode(key string, b []byte) (Cursor, error) {
	var c Cursor
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("cursor of %s: %w", key, err)
	}
	if c.Version != version {
		return c, fmt.Errorf("cursor of %s has version %d and this program knows %d: run the newer millrace",
			key, c.Version, version)
	}
	return c, nil
}

// Key names a slice in the state topic. An unsliced stream has one slice, named "".
func Key(stream, slice string) string { return stream + "/" + slice }
