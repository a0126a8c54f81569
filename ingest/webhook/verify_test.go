package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/ingest/webhook"
	"github.com/millrace-io/millrace/pipeline"
)

const body = `{"id": 1}`

func sum(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	_, _ = m.Write([]byte(text))
	return m.Sum(nil)
}

var now = time.Unix(1_700_000_000, 0)

// TestSchemes: each sender's way to sign is known, and what differs in a byte is refused.
func TestSchemes(t *testing.T) {
	secrets := []pipeline.Secret{"new", "old"}
	stripe := func(at time.Time) string {
		return fmt.Sprintf("t=%d,v1=%x,v1=%x,v0=00", at.Unix(), sum([]byte("other"), "x"), sum([]byte("old"), fmt.Sprintf("%d.%s", at.Unix(), body)))
	}
	stripeSignature := pipeline.Signature{Header: "Stripe-Signature", Prefix: "v1=", Timestamp: "t", Signed: "{t}.{body}", Tolerance: 5 * time.Minute, Secrets: secrets}
	key := []byte("key of standard webhooks")
	for name, c := range map[string]struct {
		s    pipeline.Signature
		h    map[string]string
		want error
	}{
		"github": {
			pipeline.Signature{Header: "X-Hub-Signature-256", Prefix: "sha256=", Secrets: secrets},
			map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(sum([]byte("new"), body))}, nil,
		},
		"github without a prefix": {
			pipeline.Signature{Header: "X-Hub-Signature-256", Prefix: "sha256=", Secrets: secrets},
			map[string]string{"X-Hub-Signature-256": hex.EncodeToString(sum([]byte("new"), body))}, webhook.ErrMalformed,
		},
		"github with another secret": {
			pipeline.Signature{Header: "X-Hub-Signature-256", Prefix: "sha256=", Secrets: secrets},
			map[string]string{"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(sum([]byte("else"), body))}, webhook.ErrMismatch,
		},
		"no signature": {pipeline.Signature{Header: "X-Hub-Signature-256", Secrets: secrets}, nil, webhook.ErrMissing},
		"shopify": {
			pipeline.Signature{Header: "X-Shopify-Hmac-Sha256", Encoding: "base64", Secrets: secrets},
			map[string]string{"X-Shopify-Hmac-SHA256": base64.StdEncoding.EncodeToString(sum([]byte("old"), body))}, nil,
		},
		"stripe":               {stripeSignature, map[string]string{"Stripe-Signature": stripe(now.Add(-4 * time.Minute))}, nil},
		"stripe, too old":      {stripeSignature, map[string]string{"Stripe-Signature": stripe(now.Add(-6 * time.Minute))}, webhook.ErrTime},
		"stripe, to come":      {stripeSignature, map[string]string{"Stripe-Signature": stripe(now.Add(6 * time.Minute))}, webhook.ErrTime},
		"stripe, another time": {stripeSignature, map[string]string{"Stripe-Signature": strings.Replace(stripe(now), "t=1700000000", "t=1700000001", 1)}, webhook.ErrMismatch},
		"standard webhooks": {
			pipeline.Signature{
				Header: "webhook-signature", Prefix: "v1,", Encoding: "base64", Signed: "{webhook-id}.{webhook-timestamp}.{body}", Timestamp: "webhook-timestamp",
				Tolerance: time.Minute, Base64Key: true, Secrets: []pipeline.Secret{pipeline.Secret("whsec_" + base64.StdEncoding.EncodeToString(key))},
			},
			map[string]string{
				"webhook-id": "m1", "webhook-timestamp": "1700000000",
				"webhook-signature": "v1,AAAA v1," + base64.StdEncoding.EncodeToString(sum(key, "m1.1700000000."+body)),
			}, nil,
		},
		"slack": {
			pipeline.Signature{
				Header: "X-Slack-Signature", Prefix: "v0=", Signed: "v0:{X-Slack-Request-Timestamp}:{body}", Timestamp: "X-Slack-Request-Timestamp",
				Tolerance: time.Minute, Secrets: secrets,
			},
			map[string]string{
				"X-Slack-Request-Timestamp": "1700000000",
				"X-Slack-Signature":         "v0=" + hex.EncodeToString(sum([]byte("new"), "v0:1700000000:"+body)),
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := webhook.NewVerifier(c.s)
			if err != nil {
				t.Fatal(err)
			}
			h := http.Header{}
			for name, value := range c.h {
				h.Set(name, value)
			}
			if got := v.Verify(h, []byte(body), now); !errors.Is(got, c.want) {
				t.Errorf("error %v, want %v", got, c.want)
			}
			if c.want == nil {
				if got := v.Verify(h, []byte(body+" "), now); !errors.Is(got, webhook.ErrMismatch) {
					t.Errorf("another body: error %v", got)
				}
			}
		})
	}
}

func TestKnownIsBounded(t *testing.T) {
	k := webhook.NewKnown(2)
	for _, id := range []string{"", "a", "b", "b", "c"} {
		k.Add(id)
	}
	for id, want := range map[string]bool{"": false, "a": false, "b": true, "c": true} {
		if k.Has(id) != want {
			t.Errorf("%q is known: %v, want %v", id, k.Has(id), want)
		}
	}
}

func TestSigned(t *testing.T) {
	for signed, ok := range map[string]bool{"": true, "{body}": true, "v0:{X-T}:{body}": true, "{t}": false, "{body": false} {
		if _, err := pipeline.SignedNames(signed); (err == nil) != ok {
			t.Errorf("%q: %v", signed, err)
		}
	}
}
