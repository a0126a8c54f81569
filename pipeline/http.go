package pipeline

import "time"

// HTTP is how requests are made. It is shared by all streams that name the same API.
type HTTP struct {
	BaseURL string            // absolute
	Secrets []Reference       `json:"-"` // as Pipeline.Secrets: an answer may hold any of them
	Headers map[string]Secret // sent with each request
	Auth    Auth
	// that next pages and redirects may lead to, beside the origin of BaseURL; *.example.com is all below it, * any
	Hosts     []string
	TLS       *TLS          // nil: the system's certificate authorities, and no client certificate
	RateLimit *RateLimit    // nil: none. One budget for all streams with the same BaseURL host and the same limit
	Charset   string        // of bodies; empty: as the Content-Type says, else UTF-8
	MaxBody   int64         // bytes of a body at most, without its content coding; 0: any number
	Timeout   time.Duration // one request, from dial to the last byte of the body
	Retry     Retry
}

// Auth is at most one of its fields; none: requests show no credentials.
type Auth struct {
	Bearer  Secret
	Bearers []Secret // several tokens: when the quota of one is used up, another takes its turn
	APIKey  *APIKey
	Basic   *Basic
	OAuth2  *OAuth2
	Login   *Login
	JWT     *JWT
	AWS     *AWS
}

// APIKey is a secret in a header or in a query parameter: exactly one of Header and Param is set.
type APIKey struct {
	Header string
	Param  string
	Value  Secret
	Values []Secret // in the place of Value: several, as Auth.Bearers
}

// Basic is a user and a password (RFC 7617).
type Basic struct {
	Username string
	Password Secret
}

// OAuth2 gets access tokens from a token endpoint (RFC 6749): by client credentials, or with a refresh token. Access
// tokens are sent as Bearer.
type OAuth2 struct {
	TokenURL     string
	ClientID     string
	ClientSecret Secret
	InBody       bool // the client's credentials go into the body, not into the Authorization header
	Scopes       []string
	Params       map[string]Secret // more parameters of the token request
	RefreshToken Secret            // the first one; later ones are kept in ingest's state topic. Empty: client credentials
	Key          Secret            // that encrypts the tokens that are kept; with RefreshToken
}

// Login is a request that answers with a token, which is sent with all others: in a header, a parameter or a cookie.
type Login struct {
	Path         string // appended to HTTP.BaseURL
	Method       string // empty: POST
	Body         *Body
	Field        []string // path of the token in the answer; nil: it is in AnswerHeader or Cookie
	AnswerHeader string
	Cookie       string        // name of the cookie that the answer sets, and that is sent back
	ExpiresIn    []string      // path of the token's lifetime in seconds; nil: it is not told
	Lifetime     time.Duration // of a token; 0: until it is refused with 401
	Header       string        // that takes the token
	Prefix       string        // before the token in the header: "Bearer "
	Param        string        // query parameter that takes the token, in the place of Header
}

// RateLimit is a budget of requests: Requests in each Per, with bursts of up to Burst.
type RateLimit struct {
	Requests int
	Per      time.Duration
	Burst    int // 1 or more
}

// Retry is exponential backoff with full jitter between Initial and Max. Retry-After, where the API
// sends it, is honoured instead. Attempts bounds how often one page is tried before the pass is given
// up and begun again later from the last committed page; nothing is lost by giving up.
type Retry struct {
	Initial  time.Duration
	Max      time.Duration
	Attempts int
}
