package infer

import (
	"regexp"
	"strings"
)

// form is how a text is written.
type form int

const (
	plainText form = iota
	moment         // date and time of day, as RFC 3339 and its kin
	day
	clock
	decimalText // a number with a point
	wholeText   // digits alone
	uuid
	rfc2822 // Mon, 02 Jan 2006 15:04:05 GMT
	webAddress
)

var (
	moments   = regexp.MustCompile(`^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.(\d{1,9}))?)?\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?$`)
	days      = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	clocks    = regexp.MustCompile(`^\d\d:\d\d:\d\d(?:\.(\d{1,6}))?$`)
	decimals  = regexp.MustCompile(`^[-+]?\d{1,30}\.\d{1,30}$`)
	wholes    = regexp.MustCompile(`^\d+$`)
	uuids     = regexp.MustCompile(`^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$`)
	rfcDates  = regexp.MustCompile(`^[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (GMT|UTC|[+-]\d{4})$`)
	addresses = regexp.MustCompile(`^https?://`)
)

// formOf says how a text is written, how many digits a fraction of a second has, and whether a time names its zone.
func formOf(text string) (kind form, places int, zone bool) {
	if m := moments.FindStringSubmatch(text); m != nil {
		return moment, len(m[1]), m[2] != ""
	}
	if m := clocks.FindStringSubmatch(text); m != nil {
		return clock, len(m[1]), true
	}
	switch {
	case days.MatchString(text):
		return day, 0, true
	case decimals.MatchString(text):
		return decimalText, 0, true
	case wholes.MatchString(text):
		return wholeText, 0, true
	case uuids.MatchString(text):
		return uuid, 0, true
	case rfcDates.MatchString(text):
		return rfc2822, 0, true
	case addresses.MatchString(text):
		return webAddress, 0, true
	}
	return plainText, 0, true
}

// plain is a name without what spellings differ in: created_at, createdAt and created-at are one.
func plain(name string) string {
	return strings.NewReplacer("_", "", "-", "", ".", "", " ", "", "@", "", "$", "").Replace(strings.ToLower(name))
}
