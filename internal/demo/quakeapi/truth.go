package quakeapi

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Row is what examples/earthquakes/pipeline.yaml makes of an event. It is computed here a second time, in plain Go, so
// that a mirror can be compared with it.
type Row struct {
	ID        string      `json:"id"`
	Time      string      `json:"time"`      // UTC, as 2018-02-07 01:26:13.840
	Magnitude json.Number `json:"magnitude"` // as the API wrote it
	Place     string      `json:"place"`
	Longitude json.Number `json:"longitude"` // degrees
	Latitude  json.Number `json:"latitude"`  // degrees
	DepthKm   json.Number `json:"depth_km"`
	Status    string      `json:"status"`
	Updated   string      `json:"updated"` // UTC, as Time
}

// TimeLayout is how a [Row] writes times.
const TimeLayout = "2006-01-02 15:04:05.000"

// verdict is what the example's pipeline makes of a revision.
type verdict int

const (
	hasRow  verdict = iota
	noRow           // the filter refuses it
	refused         // a step or the table does: a dead letter
)

func (r *revision) verdict() verdict {
	p := &r.Properties
	_, ok := r.magnitude()
	switch {
	case p.Type != typeEarthquake || r.deleted():
		return noRow
	case !ok || p.Place == nil:
		return refused
	}
	return hasRow
}

// row is the row of the newest good revision up to the given number, or nil.
func (e *event) row(number int) *Row {
	for i := number - 1; i >= 0; i-- {
		switch r := e.revisions[i]; r.verdict() {
		case noRow:
			return nil
		case hasRow:
			return r.row()
		case refused: // the row of an older revision stays
		}
	}
	return nil
}

func (r *revision) row() *Row {
	p, at := &r.Properties, r.Geometry.Coordinates
	return &Row{
		ID: r.ID, Time: timeText(p.Time), Magnitude: json.Number(p.Mag), Place: *p.Place,
		Longitude: at[0], Latitude: at[1], DepthKm: at[2], Status: p.Status, Updated: timeText(p.Updated),
	}
}

func timeText(ms int64) string { return time.UnixMilli(ms).UTC().Format(TimeLayout) }

// Rows are the rows of a mirror that has seen all that is published, by time.
func (s *Server) Rows() []Row {
	var rows []Row
	s.catalogue.each(func(e *event) bool {
		if row := e.row(len(e.revisions)); row != nil {
			rows = append(rows, *row)
		}
		return true
	})
	return rows
}

// Refused counts events whose newest revision is one that a step or the table refuses.
func (s *Server) Refused() (n int) {
	s.catalogue.each(func(e *event) bool {
		if e.newest().verdict() == refused {
			n++
		}
		return true
	})
	return n
}

// truth is GET /truth.
func (s *Server) truth(w http.ResponseWriter, r *http.Request) {
	now, rests, err := s.advance()
	if err != nil {
		refuse(w, r, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	served := r.URL.Query().Get("served") == "true"
	if r.URL.Query().Get("rows") == "true" {
		rows := s.Rows()
		_ = json.NewEncoder(w).Encode(map[string]any{"generated": now, "rests": rests, "count": len(rows), "rows": rows})
		return
	}
	var features []string
	s.catalogue.each(func(e *event) bool {
		switch {
		case !served:
			features = append(features, string(e.newest().raw))
		case e.served > 0:
			features = append(features, string(e.revisions[e.served-1].raw))
		}
		return true
	})
	var b bytes.Buffer
	head, _ := json.Marshal(map[string]any{"generated": now, "rests": rests, "published": len(features)})
	b.Write(bytes.TrimSuffix(head, []byte("}")))
	b.WriteString(`,"features":[` + strings.Join(features, ",") + "]}\n")
	_, _ = w.Write(b.Bytes())
}
