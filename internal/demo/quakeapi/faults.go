package quakeapi

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// fault is what goes wrong with one request.
type fault int

const (
	faultNone    fault = iota
	faultSeconds       // 429 with Retry-After: 1
	faultDate          // 429 with Retry-After as a date
	fault500           // 500
	faultCut           // half a body, then the connection closes
	faultSlow          // the answer comes late
)

// faultEvery is how many requests there are to a fault, on average; the first are always well.
const (
	faultEvery   = 5
	faultsSpared = 2
	slowAnswer   = 700 * time.Millisecond
)

// faultOrder is what goes wrong, in this order, again and again: a demonstration should show each kind.
var faultOrder = []fault{fault500, faultSeconds, faultCut, faultSlow, faultDate}

// faultOf is what goes wrong with the n-th request, counted from 0, of a server with this seed: in every faultEvery
// requests one thing does.
func faultOf(seed uint64, n int) fault {
	if n < faultsSpared {
		return faultNone
	}
	round, place := (n-faultsSpared)/faultEvery, (n-faultsSpared)%faultEvery
	rnd := rand.New(rand.NewPCG(seed, uint64(round)))
	if rnd.IntN(faultEvery) != place {
		return faultNone
	}
	return faultOrder[round%len(faultOrder)]
}

// tooMany answers 429 and when to come back: in seconds, or a date, which has no fractions of one.
func tooMany(w http.ResponseWriter, r *http.Request, wait time.Duration, asDate bool) {
	after := strconv.Itoa(int((wait + time.Second - 1) / time.Second))
	if asDate {
		after = time.Now().Add(wait).UTC().Format(http.TimeFormat)
	}
	w.Header().Set("Retry-After", after)
	refuse(w, r, http.StatusTooManyRequests, "Too many requests. Come back later.")
}

// cut writes half of body and closes the connection, though all of it was announced.
func cut(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body[:len(body)/2])
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	panic(http.ErrAbortHandler)
}
