package quakeapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	apiVersion = "1.14.1"
	basePath   = "/fdsnws/event/1"
)

// metadata of an answer, in the order of the real one.
type metadata struct {
	Generated int64  `json:"generated"` // Unix ms, on the catalogue's clock
	URL       string `json:"url"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	API       string `json:"api"`
	Limit     int    `json:"limit,omitempty"`
	Offset    int    `json:"offset,omitempty"`
	Count     int    `json:"count"` // of features in this answer
}

// encodePage is the body of an answer with these events.
func encodePage(q query, r *http.Request, now int64, page []*revision) ([]byte, error) {
	m := metadata{Generated: now, URL: requestURL(r), Title: "USGS Earthquakes", Status: http.StatusOK, API: apiVersion, Count: len(page)}
	if q.limit > 0 {
		m.Limit, m.Offset = q.limit, q.offset
	}
	head, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode metadata: %w", err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"type":"FeatureCollection","metadata":%s,"features":[`, head)
	for i, r := range page {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(r.raw)
	}
	b.WriteByte(']')
	if box := boundingBox(page); box != nil {
		fmt.Fprintf(&b, `,"bbox":[%s,%s,%s,%s,%s,%s]`, box[0], box[1], box[2], box[3], box[4], box[5])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// boundingBox is the least longitude, latitude and depth of a page, and the greatest; nil for an empty page.
func boundingBox(page []*revision) []json.Number {
	var box []json.Number
	for _, r := range page {
		at := r.Geometry.Coordinates
		if box == nil {
			box = append(append(box, at...), at...)
		}
		for i, v := range at {
			if less(v, box[i]) {
				box[i] = v
			}
			if less(box[3+i], v) {
				box[3+i] = v
			}
		}
	}
	return box
}

func less(a, b json.Number) bool {
	x, _ := a.Float64()
	y, _ := b.Float64()
	return x < y
}

func requestURL(r *http.Request) string { return "http://" + r.Host + r.URL.RequestURI() }

// refuse answers as the service does: in plain text, with the status twice, the reason and the request.
func refuse(w http.ResponseWriter, r *http.Request, status int, reason string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "Error %d: %s\n\n%s\n\nUsage details are available from %s\n\nRequest:\n%s\n\nRequest Submitted:\n%s\n\nService version:\n%s\n",
		status, http.StatusText(status), reason, "https://earthquake.usgs.gov"+basePath, r.URL.RequestURI(),
		time.Now().UTC().Format(time.RFC3339), apiVersion)
}
