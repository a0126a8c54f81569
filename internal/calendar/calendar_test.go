package calendar_test

import (
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/calendar"
	"github.com/millrace-io/millrace/pipeline"
)

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name, expr, zone, began string
		want                    []string // one after the other
	}{
		{"daily", "30 2 * * *", "UTC", "2024-05-01T02:00:00Z", []string{"2024-05-01T02:30:00Z", "2024-05-02T02:30:00Z"}},
		{"just begun", "30 2 * * *", "UTC", "2024-05-01T02:30:00Z", []string{"2024-05-02T02:30:00Z"}},
		{"in summer and winter", "0 6 * * *", "Europe/Berlin", "2024-10-26T00:00:00Z", []string{"2024-10-26T04:00:00Z", "2024-10-27T05:00:00Z"}},
		{"a time that is left out", "30 2 * * *", "Europe/Berlin", "2024-03-30T02:00:00Z", []string{"2024-03-31T01:30:00Z", "2024-04-01T00:30:00Z"}},
		{"a time that comes twice", "30 2 * * *", "Europe/Berlin", "2024-10-26T02:00:00Z", []string{"2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"}},
		{"begun the second time", "30 2 * * *", "Europe/Berlin", "2024-10-27T01:10:00Z", []string{"2024-10-28T01:30:00Z"}},
		{"New York, left out", "30 2 * * *", "America/New_York", "2024-03-09T12:00:00Z", []string{"2024-03-10T07:30:00Z", "2024-03-11T06:30:00Z"}},
		{"New York, twice", "30 1 * * *", "America/New_York", "2024-11-02T12:00:00Z", []string{"2024-11-03T05:30:00Z", "2024-11-04T06:30:00Z"}},
		{"the evening before a change", "0 23 * * *", "Europe/Berlin", "2024-03-30T12:00:00Z", []string{"2024-03-30T22:00:00Z", "2024-03-31T21:00:00Z"}},
		{"each hour, as it is left out", "0 * * * *", "Europe/Berlin", "2024-03-31T00:00:00Z", []string{"2024-03-31T01:00:00Z", "2024-03-31T02:00:00Z"}},
		{
			"each half hour, as it comes twice", "*/30 * * * *", "Europe/Berlin", "2024-10-27T00:00:00Z",
			[]string{"2024-10-27T00:30:00Z", "2024-10-27T01:00:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:00:00Z"},
		},
		{"weekdays", "0 8 * * 1-5", "UTC", "2024-05-03T09:00:00Z", []string{"2024-05-06T08:00:00Z"}},
		{"a word", "@daily", "Asia/Kolkata", "2024-05-03T09:00:00Z", []string{"2024-05-03T18:30:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := calendar.New(&pipeline.Ingest{Cron: &pipeline.Cron{Expr: c.expr, Zone: c.zone}})
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, c.began)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range c.want {
				if at = s.Next(at); at.UTC().Format(time.RFC3339) != want {
					t.Fatalf("%s, want %s", at.UTC().Format(time.RFC3339), want)
				}
			}
		})
	}
}

func TestWrong(t *testing.T) {
	for _, c := range []pipeline.Cron{
		{Expr: "61 * * * *", Zone: "UTC"}, {Expr: "0 2 * *", Zone: "UTC"}, {Expr: "@every 1h", Zone: "UTC"}, {Expr: "0 0 30 2 *", Zone: "UTC"},
		{Expr: "0 2 * * *", Zone: "Mars/Base"},
	} {
		if _, err := calendar.New(&pipeline.Ingest{Cron: &c}); err == nil {
			t.Errorf("%v is taken", c)
		}
	}
}

func TestEvery(t *testing.T) {
	began := time.Unix(1000, 0)
	s, err := calendar.New(&pipeline.Ingest{Every: time.Minute})
	if got := s.Next(began); err != nil || !s.Repeats() || !got.Equal(began.Add(time.Minute)) {
		t.Errorf("%v, %v", got, err)
	}
	if s, _ := calendar.New(&pipeline.Ingest{}); s.Repeats() || !s.Next(began).IsZero() {
		t.Error("without every there is another pass")
	}
}
