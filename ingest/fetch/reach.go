package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// An answer may name a URL, of a next page or by a redirect, and whoever writes answers could have requests made inside
// the network that ingest runs in. So a URL leads to base_url's own scheme, host and port, or to a host that the
// pipeline file names; and where it names hosts by a pattern, not to an address of a private network.

// HostError says that an answer leads to a place that the pipeline file does not name.
type HostError struct {
	To   string // scheme, host and port, or an address
	Home pipeline.Origin
}

func (e *HostError) Error() string {
	return fmt.Sprintf("the answer leads to %s, and requests go to %s alone: to follow it, name its host in http.allow_hosts; "+
		"if it is an inner name of the same API, take only its parameters: as: params", e.To, e.Home)
}

// reach is how far a request may go. A redirect may restrict it.
type reach struct{ public atomic.Bool } // only to addresses that are no private ones

type reachKey struct{}

// may reports whether a request may be made to a URL, and whether its address must be a public one.
func (c *Client) may(u *url.URL) (public bool, err error) {
	to := pipeline.OriginOf(u)
	if to == c.home || c.upgrade(u) {
		return false, nil
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if slices.ContainsFunc(c.h.Hosts, func(allowed string) bool { return strings.EqualFold(allowed, host) }) {
		return false, nil
	}
	for _, pattern := range c.h.Hosts {
		if suffix, ok := strings.CutPrefix(strings.ToLower(pattern), "*"); ok && strings.HasSuffix(host, suffix) && host != strings.TrimPrefix(suffix, ".") {
			return true, nil
		}
	}
	return false, &HostError{To: to.String(), Home: c.home}
}

// upgrade reports whether a URL is that of the same host in TLS, at the ports that both have by default.
func (c *Client) upgrade(u *url.URL) bool {
	secure := *u
	base, err := url.Parse(c.h.BaseURL)
	if err != nil || base.Scheme != "http" || u.Scheme != "https" || base.Port() != "" && base.Port() != "80" {
		return false
	}
	secure.Scheme = "http"
	return (u.Port() == "" || u.Port() == "443") && strings.EqualFold(base.Hostname(), secure.Hostname())
}

// reaching is a context for a request that may be made to such addresses. A proxy is trusted: it is who connects.
func reaching(ctx context.Context, u *url.URL, public bool) context.Context {
	r := &reach{}
	r.public.Store(public && !proxied(u))
	return context.WithValue(ctx, reachKey{}, r)
}

// restrict lets the request of a redirect go to public addresses alone.
func restrict(ctx context.Context, u *url.URL, public bool) {
	if r, ok := ctx.Value(reachKey{}).(*reach); ok {
		r.public.Store(public && !proxied(u))
	}
}

func proxied(u *url.URL) bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	return err == nil && proxy != nil
}

// dialer connects to addresses that the request's context allows, after the name was looked up: a name may be given
// another address at any time.
func dialer() *net.Dialer {
	return &net.Dialer{
		Timeout: 30 * time.Second, KeepAlive: 30 * time.Second,
		ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
			r, ok := ctx.Value(reachKey{}).(*reach)
			if !ok || !r.public.Load() {
				return nil
			}
			at, err := netip.ParseAddrPort(address)
			if err != nil || private(at.Addr()) {
				return errPrivate
			}
			return nil
		},
	}
}

var errPrivate = errors.New("the answer leads to an address of a private network: to follow it, name the host itself in http.allow_hosts")

// Networks that are not public, beside those that package netip knows: RFC 6598, RFC 1122, RFC 6052.
var (
	shared = netip.MustParsePrefix("100.64.0.0/10")
	this   = netip.MustParsePrefix("0.0.0.0/8")
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
)

func private(a netip.Addr) bool {
	a = a.Unmap()
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() ||
		shared.Contains(a) || this.Contains(a)
}
