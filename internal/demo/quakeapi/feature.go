package quakeapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	_ "embed" // the recorded week
	"encoding/json"
	"fmt"
	"strconv"
)

//go:embed earthquakes.ndjson.gz
var recorded []byte

// feature is one event in the shape and field order of the recorded answers. Fields that the server never
// reads or changes stay as they are, byte for byte.
type feature struct {
	Type       string     `json:"type"`
	Properties properties `json:"properties"`
	Geometry   geometry   `json:"geometry"`
	ID         string     `json:"id"`
}

type properties struct {
	Mag     json.RawMessage `json:"mag"`
	Place   *string         `json:"place"`
	Time    int64           `json:"time"`    // Unix ms
	Updated int64           `json:"updated"` // Unix ms
	TZ      json.RawMessage `json:"tz"`
	URL     string          `json:"url"`
	Detail  string          `json:"detail"`
	Felt    json.RawMessage `json:"felt"`
	CDI     json.RawMessage `json:"cdi"`
	MMI     json.RawMessage `json:"mmi"`
	Alert   json.RawMessage `json:"alert"`
	Status  string          `json:"status"`
	Tsunami json.RawMessage `json:"tsunami"`
	Sig     json.RawMessage `json:"sig"`
	Net     string          `json:"net"`
	Code    string          `json:"code"`
	IDs     string          `json:"ids"`
	Sources string          `json:"sources"`
	Types   string          `json:"types"`
	NST     json.RawMessage `json:"nst"`
	DMin    json.RawMessage `json:"dmin"`
	RMS     json.RawMessage `json:"rms"`
	Gap     json.RawMessage `json:"gap"`
	MagType json.RawMessage `json:"magType"`
	Type    string          `json:"type"`
	Title   string          `json:"title"`
}

type geometry struct {
	Type        string        `json:"type"`
	Coordinates []json.Number `json:"coordinates"` // longitude, latitude in degrees, depth in km
}

// revision is one state of an event. It is never changed.
type revision struct {
	feature
	number int    // 1 for the first
	raw    []byte // the feature as it is served
}

// magnitude is the event's magnitude; ok is false if it has none, or one that is no number.
func (r *revision) magnitude() (mag float64, ok bool) {
	mag, err := strconv.ParseFloat(string(r.Properties.Mag), 64)
	return mag, err == nil
}

func (r *revision) deleted() bool { return r.Properties.Status == statusDeleted }

// The states of an event that the server tells apart.
const (
	statusAutomatic = "automatic"
	statusReviewed  = "reviewed"
	statusDeleted   = "deleted"
)

// newRevision encodes f as the given revision.
func newRevision(f feature, number int) (*revision, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.ID, err)
	}
	return &revision{feature: f, number: number, raw: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// loadRecorded reads the recorded week, newest event first.
func loadRecorded() ([]*revision, error) {
	z, err := gzip.NewReader(bytes.NewReader(recorded))
	if err != nil {
		return nil, fmt.Errorf("recorded earthquakes: %w", err)
	}
	var all []*revision
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		r := &revision{number: 1, raw: bytes.Clone(lines.Bytes())}
		if err := json.Unmarshal(r.raw, &r.feature); err != nil {
			return nil, fmt.Errorf("recorded earthquakes: line %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("recorded earthquakes: %w", err)
	}
	return all, nil
}
