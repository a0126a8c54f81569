package pipeline

import (
	"net/url"
	"strings"
)

// Origin is scheme, host and port of a URL (RFC 6454, section 4): what credentials are given to. Origins compare equal
// where URLs lead to the same place, however they are written.
type Origin struct{ scheme, host, port string }

// OriginOf returns the origin of an absolute URL.
func OriginOf(u *url.URL) Origin {
	o := Origin{strings.ToLower(u.Scheme), strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()}
	if o.port == "" {
		switch o.scheme {
		case "https":
			o.port = "443"
		case "http":
			o.port = "80"
		}
	}
	return o
}

// LeavesTLS reports whether the way to another place goes from https to http.
func (o Origin) LeavesTLS(to Origin) bool { return o.scheme == "https" && to.scheme != "https" }

// String is as in https://api.example.com, with the port if it is not the scheme's own.
func (o Origin) String() string {
	host := o.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if o.scheme == "https" && o.port == "443" || o.scheme == "http" && o.port == "80" {
		return o.scheme + "://" + host
	}
	return o.scheme + "://" + host + ":" + o.port
}
