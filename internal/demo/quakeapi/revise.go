package quakeapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// kind is what a release does.
type kind int

const (
	kindEvent      kind = iota // a further event
	kindNameless               // a further event without a place, which a NOT NULL column refuses
	kindReview                 // a person has looked: status reviewed, a slightly different magnitude
	kindReclassify             // an earthquake turns out to be a quarry blast, or the other way round
	kindDelete                 // the event was none
	kindRestore                // a deleted event comes back
	kindGarble                 // the magnitude is text, which no number can be made of
)

// kinds is the order of releases. It repeats; a server that rests stops after the first round.
var kinds = []kind{
	kindReview, kindEvent, kindReview, kindDelete, kindEvent, kindReview, kindReclassify, kindGarble,
	kindEvent, kindReview, kindDelete, kindReview, kindEvent, kindNameless, kindReview, kindReclassify,
	kindReview, kindEvent, kindRestore, kindReview, kindEvent, kindDelete, kindReview, kindGarble,
	kindReview, kindEvent, kindReclassify, kindReview, kindEvent, kindNameless, kindReview, kindReview,
}

// suits says whether a revision of this kind makes sense for e as it is. Revisions of a garbled event are such
// that the rows of a mirror do not depend on which of them it has seen, as long as it has the newest.
func (k kind) suits(e *event) bool {
	r := e.newest()
	_, ok := r.magnitude()
	switch k {
	case kindRestore:
		return r.deleted()
	case kindGarble:
		return len(e.revisions) == 1 && r.Properties.Type == typeEarthquake && r.Properties.Place != nil
	case kindReclassify:
		return ok && !r.deleted()
	default:
		return !r.deleted()
	}
}

const typeEarthquake = "earthquake"

// revise makes the next revision of an event, updated at now (Unix ms).
func revise(r *revision, k kind, now int64, rnd *rand.Rand) (*revision, error) {
	f := r.feature
	p := &f.Properties
	p.Updated = now
	switch k {
	case kindReclassify:
		if p.Type == typeEarthquake {
			p.Type = "quarry blast"
		} else {
			p.Type = typeEarthquake
		}
	case kindDelete:
		p.Status = statusDeleted
	case kindGarble:
		p.Mag = json.RawMessage(`"to be determined"`)
		return newRevision(f, r.number+1)
	default: // review, and restore, which is one
		p.Status = statusReviewed
		mag, ok := r.magnitude()
		if !ok {
			mag = 1
		}
		mag += float64(1+rnd.IntN(20)) / 100 * float64(1-2*rnd.IntN(2))
		p.Mag = strconv.AppendFloat(nil, round(mag), 'f', -1, 64)
	}
	if mag, ok := (&revision{feature: f}).magnitude(); ok {
		p.Title = fmt.Sprintf("M %.1f - %s", mag, place(p))
	}
	return newRevision(f, r.number+1)
}

func round(mag float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(mag, 'f', 2, 64), 64)
	return rounded
}

func place(p *properties) string {
	if p.Place == nil {
		return "unknown"
	}
	return *p.Place
}
