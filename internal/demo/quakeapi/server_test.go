package quakeapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

type answer struct {
	Type     string
	Metadata struct {
		Generated       int64
		URL, Title, API string
		Status, Count   int
		Limit, Offset   *int
	}
	Features []struct {
		ID         string
		Properties struct {
			Mag                 any
			Place               *string
			Time, Updated       int64
			Status, Type, Title string
		}
	}
	BBox []float64
}

// calm is a server that never fails and publishes only when its clock is moved.
func calm(t *testing.T, change ...func(*quakeapi.Config)) *quakeapi.Server {
	t.Helper()
	cfg := quakeapi.DefaultConfig()
	cfg.Faults, cfg.Rate, cfg.Latency = false, 0, 0
	for _, c := range change {
		c(&cfg)
	}
	s, err := quakeapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(t *testing.T, h http.Handler, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func query(t *testing.T, h http.Handler, params string) answer {
	t.Helper()
	status, body := get(t, h, "/fdsnws/event/1/query?format=geojson&"+params)
	if status != 200 {
		t.Fatalf("%s: status %d: %s", params, status, body)
	}
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%s: %v", params, err)
	}
	return a
}

func TestPagesAreTheWholeList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		all := query(t, s, "orderby=time-asc")
		if all.Metadata.Count != len(all.Features) || len(all.Features) != 1707-220 {
			t.Fatalf("count %d, %d features", all.Metadata.Count, len(all.Features))
		}
		if all.Metadata.Limit != nil || all.Metadata.Offset != nil {
			t.Error("limit and offset in the metadata of a query without them")
		}
		var ids []string
		for offset := 1; ; offset += 200 {
			page := query(t, s, fmt.Sprintf("orderby=time-asc&limit=200&offset=%d", offset))
			if *page.Metadata.Limit != 200 || *page.Metadata.Offset != offset || page.Metadata.Count != len(page.Features) {
				t.Fatalf("metadata %+v", page.Metadata)
			}
			for _, f := range page.Features {
				ids = append(ids, f.ID)
			}
			if len(page.Features) < 200 {
				break
			}
		}
		var want []string
		for _, f := range all.Features {
			want = append(want, f.ID)
		}
		if !slices.Equal(ids, want) {
			t.Error("the pages are not the whole list")
		}
		if past := query(t, s, "limit=10&offset=5000"); len(past.Features) != 0 || past.BBox != nil {
			t.Errorf("past the end: %d features, bbox %v", len(past.Features), past.BBox)
		}
	})
}

func TestParametersSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		for _, test := range []struct {
			params string
			holds  func(a, b int64, mag float64, updated int64) bool // of neighbours a, b by time, and each feature
		}{
			{"orderby=time", func(a, b int64, _ float64, _ int64) bool { return a >= b }},
			{"orderby=time-asc", func(a, b int64, _ float64, _ int64) bool { return a <= b }},
			{"minmagnitude=4.5", func(_, _ int64, mag float64, _ int64) bool { return mag >= 4.5 }},
			{"maxmagnitude=0.5", func(_, _ int64, mag float64, _ int64) bool { return mag <= 0.5 }},
			{"starttime=2018-02-03&endtime=2018-02-03T12:00:00", func(a, b int64, _ float64, _ int64) bool {
				lo, hi := time.Date(2018, 2, 3, 0, 0, 0, 0, time.UTC), time.Date(2018, 2, 3, 12, 0, 0, 0, time.UTC)
				return a >= lo.UnixMilli() && b <= hi.UnixMilli()
			}},
			{"updatedafter=2018-02-06T01:00:00%2B01:00", func(_, _ int64, _ float64, updated int64) bool {
				return updated > time.Date(2018, 2, 6, 0, 0, 0, 0, time.UTC).UnixMilli()
			}},
		} {
			a := query(t, s, test.params)
			if len(a.Features) < 2 || len(a.Features) > 1487 {
				t.Errorf("%s: %d features", test.params, len(a.Features))
			}
			for i := range len(a.Features) - 1 {
				f, next := a.Features[i].Properties, a.Features[i+1].Properties
				if !test.holds(f.Time, next.Time, f.Mag.(float64), f.Updated) {
					t.Fatalf("%s: feature %d is %+v, the next %+v", test.params, i, f, next)
				}
			}
		}
	})
}

func TestOrderByMagnitude(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		up, down := query(t, s, "orderby=magnitude-asc"), query(t, s, "orderby=magnitude&limit=1")
		for i := range len(up.Features) - 1 {
			if up.Features[i].Properties.Mag.(float64) > up.Features[i+1].Properties.Mag.(float64) {
				t.Fatalf("feature %d is greater than the next", i)
			}
		}
		if last := up.Features[len(up.Features)-1]; last.Properties.Mag != down.Features[0].Properties.Mag {
			t.Errorf("the greatest is %v and %v", last.Properties.Mag, down.Features[0].Properties.Mag)
		}
	})
}

func TestBadParametersAre400(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		for params, want := range map[string]string{
			"format=geojson&limit=20001":                             `Bad limit value "20001"`,
			"format=geojson&limit=0":                                 `Bad limit value "0"`,
			"format=geojson&offset=0":                                `Bad offset value "0"`,
			"format=geojson&orderby=depth":                           `Bad orderby value "depth"`,
			"format=geojson&minmagnitude=big":                        `Bad minmagnitude value "big"`,
			"format=geojson&starttime=yesterday":                     `Bad starttime value "yesterday"`,
			"format=geojson&updatedafter=1517363399650":              `Bad updatedafter value`,
			"format=geojson&starttime=2018-02-02&endtime=2018-02-01": "starttime must be before endtime",
			"format=geojson&page=2":                                  `Unknown parameter "page"`,
			"format=csv":                                             `Bad format value "csv"`,
			"":                                                       "Bad format value",
		} {
			status, body := get(t, s, "/fdsnws/event/1/query?"+params)
			if status != 400 || !strings.HasPrefix(body, "Error 400: Bad Request\n\n") || !strings.Contains(body, want) {
				t.Errorf("%s: %d %s, want %s", params, status, body, want)
			}
		}
	})
}

func TestCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, body := get(t, calm(t), "/fdsnws/event/1/count?format=geojson&minmagnitude=5")
		var count struct{ Count, MaxAllowed int }
		if err := json.Unmarshal([]byte(body), &count); err != nil || status != 200 {
			t.Fatalf("%d %s: %v", status, body, err)
		}
		if count.MaxAllowed != 20000 || count.Count < 5 || count.Count > 50 {
			t.Errorf("%+v", count)
		}
	})
}

// TestRevisionsAreServedAgain follows a server until it rests, as a mirror does, and compares with its truth.
func TestRevisionsAreServedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		updated := map[string]int64{}
		statuses := map[string]int{}
		var since int64
		for range 100 {
			q := url.Values{"orderby": {"time-asc"}, "includedeleted": {"true"}}
			if since > 0 {
				q.Set("updatedafter", time.UnixMilli(since).UTC().Format(time.RFC3339Nano))
			}
			rests := s.Rests()
			for _, f := range query(t, s, q.Encode()).Features {
				if f.Properties.Updated <= updated[f.ID] {
					t.Fatalf("%s: updated %d after %d", f.ID, f.Properties.Updated, updated[f.ID])
				}
				updated[f.ID] = f.Properties.Updated
				statuses[f.Properties.Status]++
				since = max(since, f.Properties.Updated)
			}
			if rests {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		if !s.Rests() {
			t.Fatal("does not come to rest")
		}
		var truth struct {
			Rests     bool
			Published int
			answer
		}
		_, body := get(t, s, "/truth?served=true")
		if err := json.Unmarshal([]byte(body), &truth); err != nil {
			t.Fatal(err)
		}
		if !truth.Rests || truth.Published != len(updated) || len(updated) <= 1487 || statuses["deleted"] == 0 {
			t.Errorf("truth of %d events, rests %v; %d seen, %v", truth.Published, truth.Rests, len(updated), statuses)
		}
		for _, f := range truth.Features {
			if updated[f.ID] != f.Properties.Updated {
				t.Errorf("%s: saw %d, truth is %d", f.ID, updated[f.ID], f.Properties.Updated)
			}
		}
	})
}

func TestDeletedAreLeftOutUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		query(t, s, "")
		time.Sleep(time.Minute)
		with, only, without := query(t, s, "includedeleted=true"), query(t, s, "includedeleted=only"), query(t, s, "")
		if len(only.Features) == 0 || len(with.Features) != len(only.Features)+len(without.Features) {
			t.Errorf("%d with, %d only, %d without deleted events", len(with.Features), len(only.Features), len(without.Features))
		}
	})
}

// TestSameSeedSameHistory: a server that is started again and asked for later changes goes on where it was.
func TestSameSeedSameHistory(t *testing.T) {
	truth := func(s *quakeapi.Server) (features string) {
		_, body := get(t, s, "/truth")
		_, features, _ = strings.Cut(body, `"features":`)
		return features
	}
	synctest.Test(t, func(t *testing.T) {
		first := calm(t)
		query(t, first, "")
		time.Sleep(time.Minute)
		want := truth(first)

		again := calm(t)
		if truth(again) == want {
			t.Fatal("nothing was published")
		}
		newest := query(t, first, "").Metadata.Generated
		query(t, again, "updatedafter="+time.UnixMilli(newest).UTC().Format(time.RFC3339Nano))
		if got := truth(again); got != want {
			t.Error("the history of the same seed is another")
		}
		other := calm(t, func(c *quakeapi.Config) { c.Seed = 2 })
		query(t, other, "")
		time.Sleep(time.Minute)
		if truth(other) == want {
			t.Error("another seed has the same history")
		}
	})
}

func TestFollowKeepsPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t, func(c *quakeapi.Config) { c.Follow = true })
		query(t, s, "")
		time.Sleep(time.Hour)
		hour := query(t, s, "limit=1").Metadata.Generated
		time.Sleep(time.Hour)
		if later := query(t, s, "limit=1").Metadata.Generated; later <= hour || s.Rests() {
			t.Errorf("an hour later the newest change is of %d, was %d; rests: %v", later, hour, s.Rests())
		}
		if got := len(query(t, s, "includedeleted=true").Features); got != 1707 {
			t.Errorf("%d events, want all 1707", got)
		}
	})
}

func TestRowsOfTruth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		query(t, s, "")
		time.Sleep(time.Minute)
		events := query(t, s, "includedeleted=true")
		rows := map[string]quakeapi.Row{}
		for _, r := range s.Rows() {
			rows[r.ID] = r
		}
		refused := 0
		for _, f := range events.Features {
			row, has := rows[f.ID]
			_, number := f.Properties.Mag.(float64)
			quake := f.Properties.Type == "earthquake" && f.Properties.Status != "deleted"
			switch good := number && f.Properties.Place != nil; {
			case quake && good:
				if want := time.UnixMilli(f.Properties.Updated).UTC().Format(quakeapi.TimeLayout); row.Updated != want {
					t.Errorf("%s: row of %q, want of %s", f.ID, row.Updated, want)
				}
			case quake:
				refused++
				if has != (f.Properties.Place != nil) {
					t.Errorf("%s: has a row: %v; a refused revision leaves what was there", f.ID, has)
				}
			case has:
				t.Errorf("%s: a %s of status %s has a row", f.ID, f.Properties.Type, f.Properties.Status)
			}
		}
		if refused != s.Refused() || refused < 3 {
			t.Errorf("%d refused, the server says %d", refused, s.Refused())
		}
	})
}

func TestFaults(t *testing.T) {
	cfg := quakeapi.DefaultConfig()
	cfg.Rate, cfg.Latency = 0, 0
	s, err := quakeapi.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	seen := map[string]int{}
	for i := range 60 {
		began := time.Now()
		r, err := server.Client().Get(server.URL + "/fdsnws/event/1/query?format=geojson&limit=3")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		what := strconv.Itoa(r.StatusCode)
		switch after := r.Header.Get("Retry-After"); {
		case err != nil:
			what = "cut"
		case after != "" && strings.HasSuffix(after, "GMT"):
			what = "429 date"
		case after != "":
			what = "429 " + after
		case time.Since(began) > 500*time.Millisecond:
			what = "slow"
		case r.StatusCode == 200 && !json.Valid(body):
			t.Fatalf("request %d: broken body", i)
		}
		if i < 2 && what != "200" && what != "slow" { // a busy machine is slow, too
			t.Errorf("request %d: %s; the first must be well", i, what)
		}
		seen[what]++
	}
	for _, what := range []string{"cut", "429 date", "429 1", "500", "slow"} {
		if seen[what] < 2 {
			t.Errorf("%s: %d times, want 2 or more; %v", what, seen[what], seen)
		}
	}
	if good := seen["200"] + seen["slow"]; good < 40 {
		t.Errorf("only %d good answers of 60", good)
	}
}

func TestTooFastIs429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t, func(c *quakeapi.Config) { c.Rate, c.Burst = 0.001, 2 })
		for i, want := range []int{200, 200, 429} {
			if status, _ := get(t, s, "/fdsnws/event/1/query?format=geojson&limit=1"); status != want {
				t.Errorf("request %d: %d, want %d", i, status, want)
			}
		}
	})
}

// TestAnswersTellTheCatalogueTime: a mirror whose pass was interrupted asks again for what was updated since it began,
// by the API's clock.
func TestAnswersTellTheCatalogueTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := calm(t)
		for range 3 {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/fdsnws/event/1/query?format=geojson&limit=1", nil))
			var got struct{ Metadata struct{ Generated int64 } }
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			date, err := http.ParseTime(w.Header().Get("Date"))
			if err != nil || !date.Equal(time.UnixMilli(got.Metadata.Generated).Truncate(time.Second)) {
				t.Errorf("Date %q, %v; the answer was made at %v", w.Header().Get("Date"), err, time.UnixMilli(got.Metadata.Generated).UTC())
			}
			time.Sleep(time.Second)
		}
	})
}
