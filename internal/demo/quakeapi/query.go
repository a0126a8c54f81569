package quakeapi

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// requestError says what is wrong with a query, in the service's own words.
type requestError string

func (b requestError) Error() string { return string(b) }

func bad(format string, args ...any) error { return requestError(fmt.Sprintf(format, args...)) }

// maxEvents is the most that one query may return, as at the real service.
const maxEvents = 20_000

// query is a request's parameters. Times are Unix ms.
type query struct {
	start, end, updatedAfter int64
	updatedAfterSet          bool
	minMag, maxMag           *float64
	order                    string
	limit                    int // 0: none was given
	offset                   int // from 1
	includeDeleted           string
}

// parseQuery reads the parameters of a query made at now (Unix ms). Its errors are a
// [requestError].
func parseQuery(values url.Values, now int64) (query, error) {
	const day = 24 * time.Hour
	q := query{start: now - (30 * day).Milliseconds(), end: now + day.Milliseconds(), offset: 1, order: "time", includeDeleted: "false"}
	for name, all := range values {
		if err := q.set(name, all[len(all)-1]); err != nil {
			return q, err
		}
	}
	if !values.Has("format") {
		return q, bad("Bad format value \"quakeml\". This imitation of the service answers geojson only.")
	}
	if q.start > q.end {
		return q, bad("Bad starttime value. starttime must be before endtime.")
	}
	return q, nil
}

// set takes a parameter. Its error is a [requestError].
func (q *query) set(name, value string) (err error) {
	switch name {
	case "format":
		if value != "geojson" {
			err = bad("Bad format value %q. This imitation of the service answers geojson only.", value)
		}
	case "starttime":
		q.start, err = parseTime(name, value)
	case "endtime":
		q.end, err = parseTime(name, value)
	case "updatedafter":
		q.updatedAfterSet = true
		q.updatedAfter, err = parseTime(name, value)
	case "minmagnitude":
		q.minMag, err = parseMagnitude(name, value)
	case "maxmagnitude":
		q.maxMag, err = parseMagnitude(name, value)
	case "orderby":
		q.order, err = parseChoice(name, value, "time", "time-asc", "magnitude", "magnitude-asc")
	case "includedeleted":
		q.includeDeleted, err = parseChoice(name, value, "true", "false", "only")
	case "limit":
		q.limit, err = parseInt(name, value, maxEvents)
	case "offset":
		q.offset, err = parseInt(name, value, 0)
	default:
		err = bad("Unknown parameter %q.", name)
	}
	return err
}

// parseTime reads an ISO 8601 date or time, in UTC unless it says otherwise.
func parseTime(name, value string) (ms int64, err error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, bad("Bad %s value %q. Valid values are ISO-8601 timestamps.", name, value)
}

func parseMagnitude(name, value string) (*float64, error) {
	mag, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return nil, bad("Bad %s value %q. Valid values are numbers.", name, value)
	}
	return &mag, nil
}

func parseChoice(name, value string, choices ...string) (string, error) {
	if !slices.Contains(choices, value) {
		return "", bad("Bad %s value %q. Valid values are %q.", name, value, choices)
	}
	return value, nil
}

// parseInt reads a number from 1 to most; most 0: without bound.
func parseInt(name, value string, most int) (int, error) {
	n, err := strconv.Atoi(value)
	switch {
	case most > 0 && (err != nil || n < 1 || n > most):
		return 0, bad("Bad %s value %q. Valid values are greater than or equal to 1 and less than or equal to %d.", name, value, most)
	case err != nil || n < 1:
		return 0, bad("Bad %s value %q. Valid values are greater than or equal to 1.", name, value)
	}
	return n, nil
}

// matches says whether the newest revision of an event is wanted.
func (q *query) matches(r *revision) bool {
	p := &r.Properties
	switch {
	case p.Time < q.start || p.Time > q.end,
		q.updatedAfterSet && p.Updated <= q.updatedAfter,
		q.includeDeleted == "false" && r.deleted(),
		q.includeDeleted == "only" && !r.deleted():
		return false
	}
	mag, ok := r.magnitude()
	return (q.minMag == nil || ok && mag >= *q.minMag) && (q.maxMag == nil || ok && mag <= *q.maxMag)
}

// all returns what matches q in c, in q's order.
func (q *query) all(c *catalogue) []*revision {
	var found []*revision
	c.each(func(e *event) bool {
		if r := e.newest(); q.matches(r) {
			found = append(found, r)
		}
		return true
	})
	switch q.order {
	case "time":
		slices.Reverse(found)
	case "magnitude":
		slices.SortStableFunc(found, func(a, b *revision) int { return -byMagnitude(a, b) })
	case "magnitude-asc":
		slices.SortStableFunc(found, byMagnitude)
	}
	return found
}

// byMagnitude puts events without a magnitude below all others.
func byMagnitude(a, b *revision) int {
	magA, okA := a.magnitude()
	magB, okB := b.magnitude()
	switch {
	case okA && okB:
		return cmp.Compare(magA, magB)
	case okA:
		return 1
	case okB:
		return -1
	}
	return 0
}

// page cuts the page that q asks for out of what matches. ok is false if that would be more than the service answers at
// once.
func (q *query) page(found []*revision, most int) (page []*revision, ok bool) {
	page = found[min(q.offset-1, len(found)):]
	if q.limit > 0 {
		return page[:min(q.limit, len(page))], true
	}
	return page, len(page) <= most
}
