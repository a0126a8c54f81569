package pipeline

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Events is a stream of Server-Sent Events, in the place of pages.
type Events struct {
	Types []string      // of events that become records; nil: all. One without a type is of type message
	Wrap  bool          // a record is {id, event, data}; else it is the data of the event
	Idle  time.Duration // after so long without a byte the connection is taken for dead
}

// Job is a report that an API makes: it is created, asked for until it is done, and then its files are fetched.
type Job struct {
	ID       []string // path of the field that names the job, in the answer to its creation; nil: it is in IDHeader
	IDHeader string   // header of that answer with the name, such as Location
	// that tells how far it is, appended to HTTP.BaseURL; PlaceJob stands for the name. Empty: the name is a URL
	StatusPath string
	Done       string        // an expression over the answer that is true when the job is done
	Failed     string        // and one that is true when it never will be; empty: none
	Poll       time.Duration // from one question to the next
	Timeout    time.Duration // for the job; then another is created
	// path of the field of that answer with the URL of the file, or a list of them; nil: see ResultPath
	Result     []string
	ResultPath string // of the file, as StatusPath
}

// PlaceJob stands for the name of a job in the paths of [Job].
const PlaceJob = "{job}"

// Webhooks is where ingest listens for deliveries.
type Webhooks struct {
	Listen  string // host:port; empty: no stream is delivered
	MaxBody int64  // bytes of a delivery at most
}

// Webhook is how the records of a stream are delivered by an API that calls us; nothing is asked for.
type Webhook struct {
	Path    string     // that deliveries are POSTed to; several streams may share it, and have the same Verify
	Verify  *Signature // how a delivery proves who sent it; nil: it does not
	Type    string     // header with the type of a delivery; empty: it is in TypeField
	TypeAt  []string   // path of the field of the body with the type; nil: it is in the header Type
	Types   []string   // types that are the stream's; nil: all
	Deletes []string   // types that say that the record is gone: it becomes a tombstone
	When    string     // an expression over the body that is true of the stream's deliveries; empty: of all
	ID      string     // header with the id of a delivery, the same when it is sent again; empty: see IDAt
	IDAt    []string   // path of the field of the body with that id; nil: there is none
}

// Signature is an HMAC over a delivery (RFC 2104).
type Signature struct {
	Header    string        // that holds it, or several, with blanks or commas between them: one must match
	Prefix    string        // before each, such as "sha256="; what does not begin so is no signature
	Hash      string        // sha256, sha1 or sha512
	Encoding  string        // hex or base64
	Secrets   []Secret      // one must have made it: there are two while a secret is changed
	Base64Key bool          // the secrets are base64, behind an optional "whsec_"
	Signed    string        // what is signed: {body}, and {name of a header}, stand for what they name; {t}: see Timestamp
	Timestamp string        // header with the time of the signature in seconds since 1970; "t": it stands in Header, as t=
	Tolerance time.Duration // how far that time may be from now
}

// Format is %v, whatever the verb.
func (w Webhook) Format(f fmt.State, _ rune) { type plain Webhook; format(f, plain(w)) }

// Format is %v, whatever the verb.
func (s Signature) Format(f fmt.State, _ rune) { type plain Signature; format(f, plain(s)) }

// SignedPart is a piece of what is signed: a text, or the name of what stands there.
type SignedPart struct{ Text, Name string }

// SignedParts takes [Signature.Signed] apart.
func SignedParts(text string) []SignedPart {
	if text == "" {
		text = "{body}"
	}
	var parts []SignedPart
	for text != "" {
		before, rest, open := strings.Cut(text, "{")
		name, after, closed := strings.Cut(rest, "}")
		if !open || !closed {
			return append(parts, SignedPart{Text: text})
		}
		if before != "" {
			parts = append(parts, SignedPart{Text: before})
		}
		parts = append(parts, SignedPart{Name: name})
		text = after
	}
	return parts
}

// SignedNames returns the names in [Signature.Signed], or says what is wrong with it.
func SignedNames(signed string) ([]string, error) {
	var names []string
	body := false
	for _, p := range SignedParts(signed) {
		if strings.ContainsAny(p.Text, "{}") || p.Text == "" && p.Name == "" {
			return nil, errors.New("a brace in it has no other")
		}
		if body = body || p.Name == "body"; p.Name != "" {
			names = append(names, p.Name)
		}
	}
	if !body {
		return nil, errors.New("{body} is not in it: anything could be delivered under such a signature")
	}
	return names, nil
}

// Cron is when passes begin, as in crontab(5).
type Cron struct {
	Expr string // minute, hour, day of the month, number of the month, weekday; or @daily and similar
	Zone string // of the IANA database
}

// JWT is a token that is signed here (RFC 7519). It is sent as Bearer, or is exchanged for one that is.
type JWT struct {
	Algorithm      string // RS256, ES256, … of RFC 7518; HS256: Key is a text
	Key            Secret // private key, PEM
	ServiceAccount Secret // key file of a Google service account, in the place of Key and what else is in it
	KeyID          string // empty: not told
	Issuer         string
	Subject        string
	Audience       string
	Scopes         []string
	Claims         map[string]string
	Lifetime       time.Duration
	TokenURL       string // where it is exchanged for an access token; empty: it is sent itself
	// the exchange is by client credentials, in which it stands for the client's secret; else it is the grant
	AsClient bool
	Params   map[string]Secret // more parameters of the exchange
}

// AWS are credentials for Signature Version 4.
type AWS struct {
	Region       string
	Service      string // as it is signed for: execute-api, es, s3
	AccessKey    string
	SecretKey    Secret
	SessionToken Secret // empty: none
}

// Format is %v, whatever the verb.
func (j JWT) Format(f fmt.State, _ rune) { type plain JWT; format(f, plain(j)) }

// Format is %v, whatever the verb.
func (a AWS) Format(f fmt.State, _ rune) { type plain AWS; format(f, plain(a)) }
