package file

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// duration is a time such as 90s, 1h30m or 7d, from min (else 0s) to max.
type duration struct {
	leaf
	d time.Duration
}

func (v *duration) decode(d *decoder, p place) {
	v.begin(p)
	s, _, ok := d.scalar(p, "a duration such as 30s or 1h30m")
	if !ok {
		return
	}
	t, err := parseDuration(s)
	least, most := bounds(p, parseDuration)
	switch {
	case err != nil:
		hint := "write it as in 500ms, 30s, 1h30m or 7d"
		if digits.MatchString(p.node.Value) {
			hint = fmt.Sprintf("did you mean %q?", p.node.Value+"s")
		}
		v.failf(d, hint, "%s is not a duration", shown(p))
	case t < least || t > most:
		v.failf(d, "", "%s is out of range: from %s to %s", shown(p), readable(least), readable(most))
	default:
		v.d, v.ok = t, true
	}
}

var (
	digits = regexp.MustCompile(`^\d{1,6}$`)
	days   = regexp.MustCompile(`^(\d{1,6})d`)
)

// parseDuration reads what time.ParseDuration reads, with whole days in front: 7d, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	m := days.FindStringSubmatch(s)
	if m == nil {
		return time.ParseDuration(s)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n > 100_000 {
		return 0, fmt.Errorf("%s days are too many", m[1])
	}
	whole := time.Duration(n) * 24 * time.Hour
	if len(s) == len(m[0]) {
		return whole, nil
	}
	rest, err := time.ParseDuration(s[len(m[0]):])
	return whole + rest, err
}

// readable leaves out the zeros at the end of 1h0m0s.
func readable(t time.Duration) string {
	if day := 24 * time.Hour; t >= day && t%day == 0 {
		return strconv.FormatInt(int64(t/day), 10) + "d"
	}
	s := t.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

// percent is a share such as 10% or 0.5%, from min to max.
type percent struct {
	leaf
	p float64
}

func (v *percent) decode(d *decoder, p place) {
	v.p = amount(d, p, &v.leaf, "a share", "10%", "write it as in 10% or 0.5%", parsePercent)
}

var shares = regexp.MustCompile(`^(\d{1,3}(?:\.\d{1,6})?) ?%$`)

func parsePercent(s string) (float64, error) {
	m := shares.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a share", s)
	}
	return strconv.ParseFloat(m[1], 64)
}

// size is a number of bytes such as 1048576, 512KiB or 8MiB, from min to max.
type size struct {
	leaf
	n int64
}

func (v *size) decode(d *decoder, p place) {
	v.n = amount(d, p, &v.leaf, "a size", "8MiB", "write it as in 1048576, 512KiB, 8MiB or 8MB", parseSize)
}

// amount reads what parse reads, from min to max; 0, and v is not ok, if it is something else.
func amount[T cmp.Ordered](d *decoder, p place, v *leaf, kind, example, hint string, parse func(string) (T, error)) (zero T) {
	v.begin(p)
	s, _, ok := d.scalar(p, kind+" such as "+example)
	if !ok {
		return zero
	}
	n, err := parse(s)
	least, most := bounds(p, parse)
	switch {
	case err != nil:
		v.failf(d, hint, "%s is not %s", shown(p), kind)
	case n < least || n > most:
		v.failf(d, "", "%s is out of range: from %s to %s", shown(p), p.tag.Get("min"), p.tag.Get("max"))
	default:
		v.ok = true
		return n
	}
	return zero
}

var sizes = regexp.MustCompile(`^(\d{1,12}) ?(|B|[KMG]i?B)$`)

func parseSize(s string) (int64, error) {
	m := sizes.FindStringSubmatch(strings.ReplaceAll(s, "kB", "KB"))
	if m == nil {
		return 0, fmt.Errorf("%q is not a size", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[m[2]]
	if err == nil && n > (1<<62)/unit {
		err = fmt.Errorf("%s is too large", s)
	}
	return n * unit, err
}
