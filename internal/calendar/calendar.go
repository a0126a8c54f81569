// Package calendar says when the next pass of a stream is due.
package calendar

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// Schedule is when passes begin. It is read-only and may be used concurrently.
type Schedule struct {
	every time.Duration
	cron  *cron.SpecSchedule // in the place of every; its location is UTC: it knows the times of a clock on the wall
	zone  *time.Location
}

// New returns the schedule of a stream.
func New(in *pipeline.Ingest) (Schedule, error) {
	s := Schedule{every: in.Every, zone: time.UTC}
	if in.Cron == nil {
		return s, nil
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse("TZ=UTC " + in.Cron.Expr)
	if err != nil {
		return s, fmt.Errorf("cron: %w", err)
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return s, fmt.Errorf("cron: %q is no time of the day: set every", in.Cron.Expr)
	}
	if s.zone, err = time.LoadLocation(in.Cron.Zone); err != nil {
		return s, fmt.Errorf("cron: %w", err)
	}
	if spec.Next(time.Unix(0, 0).UTC()).IsZero() {
		return s, fmt.Errorf("cron: there is no such day as in %q", in.Cron.Expr)
	}
	s.cron = spec
	return s, nil
}

// Repeats reports whether there is another pass after the first.
func (s Schedule) Repeats() bool { return s.cron != nil || s.every > 0 }

// Next is when the pass after one that began at a time is due; the zero time: never.
//
// A time of the day that the clock shows twice, where summer time ends, is meant once, the first time. One that it
// leaves out, where summer time begins, is meant as much later as the clock was set forward. A schedule for every hour
// goes on by the hour.
func (s Schedule) Next(began time.Time) time.Time {
	switch {
	case s.cron == nil && s.every <= 0:
		return time.Time{}
	case s.cron == nil:
		return began.Add(s.every)
	case bits.OnesCount64(s.cron.Hour&(1<<24-1)) == 24:
		hourly := *s.cron
		hourly.Location = s.zone
		return hourly.Next(began)
	}
	local := began.In(s.zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), time.UTC)
	for {
		if wall = s.cron.Next(wall); wall.IsZero() {
			return wall
		}
		if at := s.at(wall); at.After(began) {
			return at
		}
	}
}

// Sleep waits until the pass after one that began at a time is due. It returns ctx's error if ctx ends before. A pass
// that was due while nobody ran is due at once.
func (s Schedule) Sleep(ctx context.Context, began time.Time) error {
	if s.cron == nil {
		return stage.Sleep(ctx, min(time.Until(began.Add(s.every)), s.every)) // a clock may have been set back
	}
	due := s.Next(began)
	for wait := time.Until(due); wait > 0; wait = time.Until(due) { // the clock may be set meanwhile
		if err := stage.Sleep(ctx, min(wait, time.Minute)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// at is the first moment at which the clock in the zone shows wall, or would if it had not been set forward.
func (s Schedule) at(wall time.Time) time.Time {
	_, before := wall.Add(-24 * time.Hour).In(s.zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(s.zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second)
	second := wall.Add(-time.Duration(after) * time.Second)
	if !s.shows(first, before) && s.shows(second, after) {
		return second
	}
	// by the clock as it was before it changed: the first of two such moments, or the one that would have been
	return first
}

// shows reports whether the clock in the zone has an offset, in seconds, at a moment.
func (s Schedule) shows(at time.Time, offset int) bool {
	_, is := at.In(s.zone).Zone()
	return is == offset
}
