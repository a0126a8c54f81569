package webhook

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // an HMAC with SHA-1 is sound, and some senders have no other
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// What is wrong with a signature. None of the texts holds one, or a secret.
var (
	ErrMissing   = errors.New("the signature is missing")
	ErrMalformed = errors.New("the signature is not written as it should be")
	ErrMismatch  = errors.New("the signature does not match: another secret, or another body")
	ErrTime      = errors.New("the signature is too old, or from a time to come")
)

// inHeader is a timestamp that stands beside the signatures: "t=1492774577,v1=5257…".
const inHeader = "t"

// Verifier checks signatures. It is read-only and may be used concurrently.
type Verifier struct {
	s     pipeline.Signature
	keys  [][]byte
	parts []pipeline.SignedPart
}

// NewVerifier returns the verifier of a signature; its error is a secret that is not base64.
func NewVerifier(s pipeline.Signature) (*Verifier, error) {
	v := &Verifier{s: s, parts: pipeline.SignedParts(s.Signed)}
	for _, secret := range s.Secrets {
		key := []byte(secret.Reveal())
		if s.Base64Key {
			var err error
			if key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), "whsec_")); err != nil {
				return nil, errors.New("the secret is not base64")
			}
		}
		v.keys = append(v.keys, key)
	}
	return v, nil
}

// Verify returns nil if a body with these headers was signed with one of the secrets, at a time that is near enough to
// now.
func (v *Verifier) Verify(h http.Header, body []byte, now time.Time) error {
	header := strings.Join(h.Values(v.s.Header), ",")
	if header == "" {
		return ErrMissing
	}
	stamp := ""
	if v.s.Timestamp == inHeader {
		stamp = pairOf(header, inHeader)
	} else if v.s.Timestamp != "" {
		stamp = h.Get(v.s.Timestamp)
	}
	signatures := v.signatures(header)
	if len(signatures) == 0 {
		return ErrMalformed
	}
	match := 0
	for _, key := range v.keys {
		want := v.sum(key, h, stamp, body)
		for _, got := range signatures {
			if hmac.Equal(want, got) { // in constant time
				match++
			}
		}
	}
	if match == 0 {
		return ErrMismatch
	}
	if v.s.Timestamp == "" {
		return nil
	}
	return v.fresh(stamp, now)
}

// fresh looks at the time of a signature. It is asked last: a time that is not signed says nothing.
func (v *Verifier) fresh(stamp string, now time.Time) error {
	n, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return ErrMalformed
	}
	at := time.Unix(n, 0)
	if n > 1e12 {
		at = time.UnixMilli(n)
	}
	if v.s.Tolerance > 0 && now.Sub(at).Abs() > v.s.Tolerance {
		return ErrTime
	}
	return nil
}

// maxSignatures is how many a header may hold: each costs a comparison for each secret.
const maxSignatures = 16

// signatures are those in a header that can be read.
func (v *Verifier) signatures(header string) [][]byte {
	split := func(r rune) bool { return r == ' ' || r == ',' && !strings.Contains(v.s.Prefix, ",") }
	var out [][]byte
	for _, text := range strings.FieldsFunc(header, split) {
		text, ok := strings.CutPrefix(strings.TrimSuffix(text, ","), v.s.Prefix)
		if !ok || len(out) == maxSignatures {
			continue
		}
		var sum []byte
		var err error
		if v.s.Encoding == "base64" {
			sum, err = base64.StdEncoding.DecodeString(text)
		} else {
			sum, err = hex.DecodeString(text)
		}
		if err == nil && len(sum) > 0 {
			out = append(out, sum)
		}
	}
	return out
}

// pairOf is the value of a pair in a list such as t=1,v1=2.
func pairOf(list, name string) string {
	for pair := range strings.SplitSeq(list, ",") {
		if value, ok := strings.CutPrefix(strings.TrimSpace(pair), name+"="); ok {
			return value
		}
	}
	return ""
}

// sum is the signature that a body should have.
func (v *Verifier) sum(key []byte, h http.Header, stamp string, body []byte) []byte {
	m := hmac.New(hashOf(v.s.Hash), key)
	for _, p := range v.parts {
		switch p.Name {
		case "":
			_, _ = m.Write([]byte(p.Text))
		case "body":
			_, _ = m.Write(body)
		case inHeader:
			_, _ = m.Write([]byte(stamp))
		default:
			_, _ = m.Write([]byte(h.Get(p.Name)))
		}
	}
	return m.Sum(nil)
}

func hashOf(name string) func() hash.Hash {
	switch name {
	case "sha1":
		return sha1.New
	case "sha512":
		return sha512.New
	}
	return sha256.New
}
