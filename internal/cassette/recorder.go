package cassette

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Recorder is a transport that shows each exchange. It may be used concurrently; so may Each be called, once at a time.
type Recorder struct {
	Base http.RoundTripper // nil: that of package http
	Each func(Exchange)    // told when the answer has been read to its end, or closed
	// Bodies is how many bytes of a body are kept; 0: none.
	Bodies int64

	mu sync.Mutex
}

// RoundTrip is that of [http.RoundTripper].
func (r *Recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	base := r.Base
	if base == nil {
		base = http.DefaultTransport
	}
	x := Exchange{Method: req.Method, URL: req.URL.String()}
	if r.Bodies > 0 { // bodies are kept for people, and played back without a content coding
		req = req.Clone(req.Context())
		req.Header.Set("Accept-Encoding", "identity")
	}
	if req.Body != nil && r.Bodies > 0 {
		sent, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, err
		}
		x.Sent = sent
		req.Body = io.NopCloser(bytes.NewReader(sent))
	}
	start := time.Now()
	resp, err := base.RoundTrip(req)
	x.Took = time.Since(start)
	if err != nil {
		x.Err = err
		r.tell(x)
		return nil, err
	}
	x.Status, x.Header = resp.StatusCode, resp.Header.Clone()
	resp.Body = &watched{ReadCloser: resp.Body, limit: r.Bodies, done: func(body []byte) {
		x.Body, x.Took = body, time.Since(start)
		r.tell(x)
	}}
	return resp, nil
}

func (r *Recorder) tell(x Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Each(x)
}

// watched is a body that is copied while it is read.
type watched struct {
	io.ReadCloser

	kept  bytes.Buffer
	limit int64
	done  func([]byte)
	once  sync.Once
}

// Read is that of [io.Reader].
func (w *watched) Read(b []byte) (int, error) {
	n, err := w.ReadCloser.Read(b)
	if keep := min(int64(n), w.limit-int64(w.kept.Len())); keep > 0 {
		w.kept.Write(b[:keep])
	}
	return n, err
}

// Close is that of [io.Closer].
func (w *watched) Close() error {
	w.once.Do(func() { w.done(w.kept.Bytes()) })
	return w.ReadCloser.Close()
}

// noise are headers that say nothing of the data, by how they begin, in lower case.
var noise = []string{
	"set-cookie", "strict-transport-", "content-security-", "access-control-", "x-frame-", "x-xss-", "x-content-type", "referrer-",
	"permissions-", "cross-origin-", "cf-", "report", "nel", "alt-svc", "server", "via", "vary", "connection", "keep-alive",
	"transfer-encoding", "content-length", "content-encoding", "x-served-by", "x-timer", "x-cache", "x-request-id", "x-runtime", "x-powered-by",
	"x-amz", "x-envoy", "x-trace", "traceparent", "expect-ct", "p3p", "etag", "x-github-request-id", "x-download-", "x-permitted-",
}

// Plain leaves out headers that say nothing of the data, and cookies.
func Plain(h http.Header) http.Header {
	out := http.Header{}
	for name, values := range h {
		keep := true
		for _, begin := range noise {
			keep = keep && !strings.HasPrefix(strings.ToLower(name), begin)
		}
		if keep {
			out[name] = values
		}
	}
	return out
}
