package quakeapi

import (
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/millrace-io/millrace/internal/stage"
)

// Config is how a server behaves.
type Config struct {
	Seed    uint64        // of releases and faults
	Follow  bool          // publish without end; else one round of releases, then rest
	Faults  bool          // now and then go wrong
	Rate    rate.Limit    // requests a second that are answered; more get 429. 0: no limit
	Burst   int           // requests at once that are answered, with Rate
	Latency time.Duration // of an answer
	First   time.Duration // from the first time that all has been served to the first release
	Every   time.Duration // from one release to the next
}

// DefaultConfig is the behaviour of the demonstration.
func DefaultConfig() Config {
	return Config{
		Seed: 1, Faults: true, Rate: 20, Burst: 20, Latency: 30 * time.Millisecond,
		First: 500 * time.Millisecond, Every: 70 * time.Millisecond,
	}
}

// After the first round a server that follows takes its time.
const followEvery = 700 * time.Millisecond

// Server answers queries. It may be used concurrently.
type Server struct {
	cfg       Config
	catalogue *catalogue
	limit     *rate.Limiter
	mux       *http.ServeMux

	mu       sync.Mutex
	requests int       // queries so far
	began    time.Time // when the clock of the releases began to run; zero: not yet
}

// New returns a server that has published most of the recorded week.
func New(cfg Config) (*Server, error) {
	c, err := newCatalogue(cfg.Seed)
	if err != nil {
		return nil, err
	}
	if cfg.Rate == 0 {
		cfg.Rate = rate.Inf
	}
	s := &Server{cfg: cfg, catalogue: c, limit: rate.NewLimiter(cfg.Rate, cfg.Burst), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET "+basePath+"/query", s.query)
	s.mux.HandleFunc("GET "+basePath+"/count", s.count)
	s.mux.HandleFunc("GET /truth", s.truth)
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	return s, nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Rests says that all has been published that ever will be.
func (s *Server) Rests() bool {
	_, rests, _ := s.advance()
	return rests
}

// advance publishes what is due. It returns the catalogue's time in Unix ms, and whether nothing more is to come.
func (s *Server) advance() (now int64, rests bool, err error) {
	s.mu.Lock()
	due := 0
	if !s.began.IsZero() {
		due = s.due(time.Since(s.began))
	}
	s.mu.Unlock()
	now, err = s.catalogue.advance(due)
	return now, due == len(kinds) && !s.cfg.Follow, err
}

// due is how many releases there are to be, a time after the clock began to run.
func (s *Server) due(elapsed time.Duration) int {
	if elapsed < s.cfg.First {
		return 0
	}
	n := 1 + int((elapsed-s.cfg.First)/s.cfg.Every)
	if n <= len(kinds) {
		return n
	}
	if !s.cfg.Follow {
		return len(kinds)
	}
	round := s.cfg.First + time.Duration(len(kinds)-1)*s.cfg.Every
	return len(kinds) + int((elapsed-round)/followEvery)
}

// next counts a query.
func (s *Server) next() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	return s.requests - 1
}

// servedAll starts the clock of the releases, unless it runs.
func (s *Server) servedAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		s.began = time.Now()
	}
}

// query is GET /fdsnws/event/1/query.
func (s *Server) query(w http.ResponseWriter, r *http.Request) {
	goesWrong := faultNone
	if n := s.next(); s.cfg.Faults {
		goesWrong = faultOf(s.cfg.Seed, n)
	}
	if !s.limit.Allow() {
		tooMany(w, r, time.Second, false)
		return
	}
	wait := s.cfg.Latency
	switch goesWrong {
	case faultSeconds, faultDate:
		tooMany(w, r, time.Second, goesWrong == faultDate)
		return
	case fault500:
		refuse(w, r, http.StatusInternalServerError, "Unexpected error.")
		return
	case faultSlow:
		wait += slowAnswer
	case faultNone, faultCut: // which needs the answer first
	}
	if stage.Sleep(r.Context(), wait) != nil {
		return
	}
	q, page, body, ok := s.answer(w, r)
	if !ok {
		return
	}
	if goesWrong == faultCut {
		cut(w, body)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		return
	}
	// Who asks for the changes of the last day has seen the rest, maybe before this server was started.
	recent := q.updatedAfterSet && q.updatedAfter > s.catalogue.recent()
	if s.catalogue.markServed(page) || recent {
		s.servedAll()
	}
}

// answer finds and encodes what r asks for; ok is false if it has answered already, with an error.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) (q query, page []*revision, body []byte, ok bool) {
	q, found, now, ok := s.find(w, r)
	if !ok {
		return q, nil, nil, false
	}
	page, ok = q.page(found, maxEvents)
	if !ok {
		refuse(w, r, http.StatusBadRequest, tooManyEvents(len(found)))
		return q, nil, nil, false
	}
	body, err := encodePage(q, r, now, page)
	if err != nil {
		refuse(w, r, http.StatusInternalServerError, err.Error())
		return q, nil, nil, false
	}
	// An API's clock is that of its records: a mirror goes by it where a pass has taken long, as after a crash in its
	// middle.
	w.Header().Set("Date", time.UnixMilli(now).UTC().Format(http.TimeFormat))
	return q, page, body, true
}

func tooManyEvents(n int) string {
	return strconv.Itoa(n) + " matching events exceeds search limit of " + strconv.Itoa(maxEvents) + ". Modify the search to match fewer events."
}

// find returns all that matches r's parameters; ok is false if it has answered already, with an error.
func (s *Server) find(w http.ResponseWriter, r *http.Request) (q query, found []*revision, now int64, ok bool) {
	now, _, err := s.advance()
	if err == nil {
		if q, err = parseQuery(r.URL.Query(), now); err != nil {
			refuse(w, r, http.StatusBadRequest, err.Error())
			return q, nil, now, false
		}
		if q.updatedAfterSet {
			now, err = s.catalogue.catchUp(q.updatedAfter)
		}
	}
	if err != nil {
		refuse(w, r, http.StatusInternalServerError, err.Error())
		return q, nil, now, false
	}
	return q, q.all(s.catalogue), now, true
}

// count is GET /fdsnws/event/1/count.
func (s *Server) count(w http.ResponseWriter, r *http.Request) {
	_, found, _, ok := s.find(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(map[string]int{"count": len(found), "maxAllowed": maxEvents})
}
