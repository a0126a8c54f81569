package expression_test

import (
	"testing"

	"github.com/millrace-io/millrace/internal/expression"
)

const flight = `{"year":2013,"month":1,"day":1,"dep_time":517,"sched_dep_time":515,"dep_delay":2,"arr_time":830,"sched_arr_time":819,"arr_delay":11,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH","air_time":227,"distance":1400,"hour":5,"minute":15,"time_hour":"2013-01-01T10:00:00Z"}`

var flightSteps = []string{
	`dep_time != null`,
	`time_hour + "|" + carrier + "|" + string(flight)`,
	`carrier`, `flight`, `origin`, `dest`, `dep_delay`, `arr_delay`, `distance`, `time_hour`,
	`air_time == null ? null : distance * 1.609344 / (air_time / 60)`,
}

func compile(b testing.TB, s *expression.Scope, sources ...string) (programs []*expression.Program) {
	b.Helper()
	for _, source := range sources {
		p, err := s.Compile(source)
		if err != nil {
			b.Fatal(err)
		}
		programs = append(programs, p)
	}
	return programs
}

func BenchmarkFlightExtract(b *testing.B) {
	s := expression.NewScope()
	compile(b, s, flightSteps...)
	x, f := s.NewExtractor(), s.NewFrame()
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Extract(f, []byte(flight)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlightEval(b *testing.B) {
	s := expression.NewScope()
	programs := compile(b, s, flightSteps...)
	x, f := s.NewExtractor(), s.NewFrame()
	record := []byte(flight)
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := x.Extract(f, record); err != nil {
			b.Fatal(err)
		}
		out = out[:0]
		for _, p := range programs {
			v, err := p.Eval(f)
			if err != nil {
				b.Fatal(err)
			}
			out = v.AppendJSON(out)
		}
	}
}

func BenchmarkExpression(b *testing.B) {
	for _, source := range []string{flightSteps[0], flightSteps[1], flightSteps[10], `lower(carrier)`, `distance / 100`, `distance * 1.5 + 2`, `carrier in ["AA", "UA"]`} {
		b.Run(source, func(b *testing.B) {
			s := expression.NewScope()
			p := compile(b, s, source)[0]
			f := s.NewFrame()
			if err := s.NewExtractor().Extract(f, []byte(flight)); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Eval(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
