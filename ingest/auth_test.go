package ingest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/internal/testkit"
)

// guarded is an API whose access tokens are good for a few requests, and whose refresh tokens for one.
type guarded struct {
	mu      sync.Mutex
	n, size int
	refresh string
	access  map[string]int // requests that are left
	issued  int
	void    []string // refresh tokens that were sent though they were void
}

func (g *guarded) issue() string {
	g.issued++
	token := "t0ken-access-" + strconv.Itoa(g.issued)
	g.access[token] = 3
	return token
}

func (g *guarded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = r.ParseForm()
	if r.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		if got := r.PostForm.Get("refresh_token"); got != g.refresh {
			g.void = append(g.void, got)
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		token := g.issue()
		g.refresh = "t0ken-refresh-" + strconv.Itoa(g.issued)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "refresh_token": g.refresh, "token_type": "bearer"})
		return
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if g.access[token] <= 0 {
		http.Error(w, `{"message":"token `+token+` has expired"}`, http.StatusUnauthorized)
		return
	}
	g.access[token]--
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	from, to := (page-1)*g.size+1, min(page*g.size, g.n)
	next := any(page + 1)
	if to == g.n {
		next = nil
	}
	answer(w, map[string]any{"data": ids(from, to), "next": next, "token": token})
}

// TestRefreshTokenRotates: two processes share a refresh token that is replaced each time; none is sent twice, a later
// process goes on with the last one, and no token shows up in a topic or a log.
func TestRefreshTokenRotates(t *testing.T) {
	t.Parallel()
	rotate(t, testkafka.New(t).ListenAddrs(), "shop")
}

func rotate(t *testing.T, brokers []string, name string) {
	t.Helper()
	g := &guarded{n: 60, size: 5, refresh: "t0ken-refresh-0", access: map[string]int{}}
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	p := streamFrom(t, brokers, server.URL, `path: /items, records: data, key: id, every: 20ms, slices: {region: [a, b, c, d, e, f]}, disjoint: false,
		query: {region: "{region}"}, paginate: {cursor: {next: next, param: page, first: "1"}},
		auth: {oauth2: {token_url: "`+server.URL+`/token", client_id: me, client_secret: s3cret-client, refresh_token: t0ken-refresh-0, key: 0123456789abcdef0123456789abcdef}}`)
	p.Name = name
	one := start(t, p, "one", testConfig())
	two := start(t, p, "two", testConfig())
	one.awaitPass(t)
	two.awaitPass(t)
	one.stop()
	two.stop()
	g.mu.Lock()
	issued := g.issued
	g.mu.Unlock()
	three := start(t, p, "three", testConfig()) // the token of the file is void long since
	three.awaitPass(t)
	three.stop()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.void) > 0 || g.issued <= issued || issued < 10 {
		t.Errorf("%d tokens, then %d; sent though they were void: %v", issued, g.issued, g.void)
	}
	shown := one.log.String() + two.log.String() + three.log.String()
	records := 0
	for _, topic := range []string{name + ".items.raw", name + ".ingest.state"} {
		for _, rec := range testkit.Records(t, brokers, topic) {
			shown += fmt.Sprintf("%s: %s %s %s\n", topic, rec.Key, rec.Value, rec.Headers)
			records++
		}
	}
	if strings.Contains(shown, "t0ken-") || strings.Contains(shown, "s3cret-client") || records < g.n {
		t.Errorf("%d records, shown:\n%s", records, shown)
	}
}

// TestLogin: a token is fetched by a login, sent as the file says, and fetched again when it is refused.
func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		auth   string
		answer func(w http.ResponseWriter, token string)
		token  func(r *http.Request) string
	}{
		"field": { // PocketBase
			`{login: {path: /login, body: {json: {identity: me, password: s3cret-login}}, field: data.token, prefix: ""}}`,
			func(w http.ResponseWriter, token string) {
				answer(w, map[string]any{"data": map[string]any{"token": token}})
			},
			func(r *http.Request) string { return r.Header.Get("Authorization") },
		},
		"cookie": { // CouchDB
			`{login: {path: /login, body: {form: {name: me, password: s3cret-login}}, cookie: AuthSession}}`,
			func(w http.ResponseWriter, token string) {
				http.SetCookie(w, &http.Cookie{Name: "AuthSession", Value: token, Path: "/"})
				answer(w, map[string]any{"ok": true})
			},
			func(r *http.Request) string {
				if c, err := r.Cookie("AuthSession"); err == nil {
					return c.Value
				}
				return ""
			},
		},
		"header, sent as a parameter": {
			`{login: {path: /login, body: {json: {user: me, password: s3cret-login}}, answer_header: X-Token, param: session}}`,
			func(w http.ResponseWriter, token string) { w.Header().Set("X-Token", token) },
			func(r *http.Request) string { return r.URL.Query().Get("session") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logins, left := 0, 0
			s := newStyle(t, func(w http.ResponseWriter, r *http.Request, body string) {
				token := "t0ken-" + strconv.Itoa(logins)
				switch {
				case r.URL.Path == "/login" && strings.Contains(body, "me") && strings.Contains(body, "s3cret-login"):
					logins++
					left = 2
					c.answer(w, "t0ken-"+strconv.Itoa(logins))
				case left == 0 || c.token(r) != token:
					http.Error(w, "who is "+c.token(r)+"?", http.StatusUnauthorized)
				default:
					left--
					page, _ := strconv.Atoi(r.URL.Query().Get("page"))
					answer(w, ids(page*5-4, min(page*5, 23)))
				}
			})
			k := testkafka.New(t)
			p := streamFrom(t, k.ListenAddrs(), s.URL, `path: /items, key: id, concurrency: 1, paginate: {page: {param: page}}, auth: `+c.auth)
			r := start(t, p, "one", testConfig())
			r.awaitPass(t)
			r.stop()
			if d := cmp.Diff(upTo(23), keysOf(t, k.ListenAddrs())); d != "" {
				t.Errorf("%s\nasked: %s", d, strings.Join(s.requests(), "\n"))
			}
			shown := r.log.String()
			for _, rec := range testkit.Records(t, k.ListenAddrs(), "shop.items.raw") {
				shown += fmt.Sprint(rec.Headers)
			}
			if strings.Contains(shown, "t0ken-") || strings.Contains(shown, "s3cret-login") || logins < 3 {
				t.Errorf("%d logins; shown: %s", logins, shown)
			}
		})
	}
}

// TestRefusedLoginIsWaitedFor, and what is wrong is told without the password.
func TestRefusedLoginIsWaitedFor(t *testing.T) {
	t.Parallel()
	s := newStyle(t, func(w http.ResponseWriter, _ *http.Request, body string) {
		http.Error(w, "no: "+body, http.StatusForbidden)
	})
	k := testkafka.New(t)
	p := streamFrom(t, k.ListenAddrs(), s.URL, `path: /items, key: id, auth: {login: {path: /login, body: {json: {password: s3cret-login}}, field: token}}`)
	r := start(t, p, "one", testConfig())
	testkit.Eventually(t, patience, testkit.That("health says so", func() bool { return strings.Contains(r.Health.Waiting()["ingest"], "check auth.login") }))
	r.stop()
	if strings.Contains(r.log.String()+fmt.Sprint(r.Health.Waiting()), "s3cret-login") {
		t.Errorf("log:\n%s", r.log)
	}
}

// TestTokensTakeTurns: a stream goes on with another token when the quota of one is used up.
func TestTokensTakeTurns(t *testing.T) {
	t.Parallel()
	left := map[string]int{"Bearer t0ken-a": 2, "Bearer t0ken-b": 1, "Bearer t0ken-c": 100}
	s := newStyle(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		token := r.Header.Get("Authorization")
		w.Header().Set("X-Ratelimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		if left[token] == 0 {
			w.Header().Set("X-Ratelimit-Remaining", "0")
			http.Error(w, "rate limit exceeded", http.StatusForbidden)
			return
		}
		left[token]--
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		answer(w, ids(page*5-4, min(page*5, 40)))
	})
	k := testkafka.New(t)
	p := streamFrom(t, k.ListenAddrs(), s.URL, `path: /items, key: id, concurrency: 1, paginate: {page: {param: page}}, auth: {bearer: [t0ken-a, t0ken-b, t0ken-c]}`)
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(upTo(40), keysOf(t, k.ListenAddrs())); d != "" {
		t.Error(d)
	}
	if n := len(s.requests()); n > 11 {
		t.Errorf("%d requests for 9 pages", n)
	}
}

// TestClientCertificate: an API behind a certificate authority of its own that asks for a client certificate.
func TestClientCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, pool := certificate(t, dir)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, ids(1, 3)) }))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile := filepath.Join(dir, "ca.pem")
	writePEM(t, caFile, "CERTIFICATE", server.Certificate().Raw)
	k := testkafka.New(t)
	p := streamFrom(t, k.ListenAddrs(), server.URL, fmt.Sprintf(`path: /items, key: id, auth: {basic: {username: me, password: ""}},
		tls: {ca_file: %q, cert_file: %q, key_file: %q, server_name: example.com}`, caFile, certFile, keyFile))
	r := start(t, p, "one", testConfig())
	r.awaitPass(t)
	r.stop()
	if d := cmp.Diff(upTo(3), keysOf(t, k.ListenAddrs())); d != "" {
		t.Error(d)
	}
}

// certificate writes a certificate that signs itself.
func certificate(t *testing.T, dir string) (certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "client"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", private)
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return certFile, keyFile, pool
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
