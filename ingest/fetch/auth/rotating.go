package auth

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	mathrand "math/rand/v2"
	"net/http"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// rotating gets access tokens with a refresh token, which the token endpoint may replace each time, so that the one
// before is void. All processes share what is kept in a [Store].
//
// The invariant: at any moment what is kept holds a refresh token that was not sent, or the one that the holder of the
// lease has sent, and nobody uses a token that is not kept. So each step is durable before the next:
//
//	claim ──► lease kept ──► token endpoint ──► new tokens kept, lease gone ──► access token used
//
// Writing the lease shows that the store can be written before the old token is spent. A process that dies behind the
// token endpoint leaves a lease that ends; then the old token is sent once more, which APIs allow for a while for this
// reason, or it takes new consent. A claim of another process during the lease only makes this one claim again: the
// lease says that it may.
type rotating struct {
	o      *pipeline.OAuth2
	client *http.Client
	store  Store
	vault  *vault
	void   map[string]error // refresh tokens of which the endpoint has said that they are not valid
	lease  string           // names this process in the leases that it keeps
	unkept *kept            // new tokens that could not be kept yet, behind a lease of this process
}

const (
	// a request to the token endpoint takes refreshFor at most; the rest is for clocks that differ.
	leaseFor    = 90 * time.Second
	refreshFor  = 30 * time.Second
	keepFor     = 60 * time.Second // how long it is tried to keep new tokens, also while the process stops
	leasePause  = 500 * time.Millisecond
	leaseQuiet  = 5 * time.Second // how long another's lease is waited for before it is told
	storePause  = 250 * time.Millisecond
	randomBytes = 8
)

func newRotating(o *pipeline.OAuth2, client *http.Client, name string, store Store) (Session, error) {
	v, err := newVault(o.Key, name)
	if err != nil {
		return nil, err
	}
	id := make([]byte, randomBytes)
	_, _ = rand.Read(id)
	r := &rotating{
		o: o, client: client, store: store, vault: v, void: map[string]error{}, lease: hex.EncodeToString(id),
	}
	return newCached(r.get), nil
}

// get returns a token that is kept, or gets another. Only one goroutine of a process is in it at a time.
func (r *rotating) get(ctx context.Context, refused string) (string, time.Time, error) {
	begun := time.Now()
	for {
		k, err := r.step(ctx, refused)
		switch {
		case err == nil && k.Access != "":
			return k.Access, k.Until, nil
		case err != nil && !errors.Is(err, ErrTaken):
			return "", time.Time{}, err
		case err == nil && time.Since(begun) > leaseQuiet:
			return "", time.Time{}, &Error{URL: endpoint(r.o.TokenURL), Text: "another process asks for new tokens, or died while it did; " +
				"nobody else asks before " + k.LeaseUntil.Format(time.RFC3339)}
		}
		if err := stage.Sleep(ctx, leasePause+mathrand.N(leasePause)); err != nil { // another process asks, or has asked
			return "", time.Time{}, err
		}
	}
}

// usable reports whether the access token that is kept may be used.
func (r *rotating) usable(k kept, refused string) bool {
	return k.Access != "" && k.Access != refused && (k.Until.IsZero() || time.Until(k.Until) > margin/2)
}

// step looks at what is kept, and gets new tokens if nobody else does. While somebody else does, it returns what is
// kept without an access token. From the lease on it goes on while ctx ends: a lease that is left holds up the others.
func (r *rotating) step(ctx context.Context, refused string) (kept, error) {
	k, claim, err := r.claim(ctx)
	if err != nil {
		return kept{}, err
	}
	defer claim.Close()
	switch {
	case r.unkept != nil && k.Lease == r.lease:
		return r.renewed(ctx, claim, *r.unkept)
	case r.usable(k, refused):
		return k, nil
	case k.Lease != "" && k.Lease != r.lease && time.Now().Before(k.LeaseUntil):
		k.Access = ""
		return k, nil
	case k.Refresh == "":
		k.Refresh = r.o.RefreshToken.Reveal()
	}
	if err := r.void[k.Refresh]; err != nil {
		return kept{}, err
	}
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), refreshFor)
	defer cancel()
	k.Access, k.Lease, k.LeaseUntil = "", r.lease, time.Now().Add(leaseFor).UTC()
	if err := r.put(asking, claim, k); err != nil {
		return kept{}, err
	}
	t, err := refresh(asking, r.o, r.client, k.Refresh)
	if err != nil {
		r.note(k.Refresh, err)
		k.Lease, k.LeaseUntil = "", time.Time{}
		_ = r.keep(ctx, claim, k) // else the lease ends by itself
		return kept{}, err
	}
	k.Access, k.Until = t.AccessToken, t.Expiry.UTC()
	if t.Expiry.IsZero() {
		k.Until = time.Time{}
	}
	if t.RefreshToken != "" {
		k.Refresh = t.RefreshToken
	}
	k.Lease, k.LeaseUntil = "", time.Time{}
	return r.renewed(ctx, claim, k)
}

// note remembers a refresh token that is void: it is not sent again.
func (r *rotating) note(token string, err error) {
	var e *Error
	if errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests && e.Status != http.StatusRequestTimeout {
		r.void[token] = err
	}
}

// renewed keeps new tokens, and only then gives them out. Those that cannot be kept are held until they can.
func (r *rotating) renewed(ctx context.Context, claim Claim, k kept) (kept, error) {
	r.unkept = &k
	if err := r.keep(ctx, claim, k); err != nil {
		return kept{}, err
	}
	r.unkept = nil
	return k, nil
}

// keep writes what follows the lease. Another process may have claimed the credential to look at it: then this one
// claims it again, and goes on if the lease is its own still. It goes on while ctx ends.
func (r *rotating) keep(ctx context.Context, claim Claim, k kept) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepFor)
	defer cancel()
	err := r.put(ctx, claim, k)
	for err != nil {
		if err := stage.Sleep(ctx, storePause); err != nil {
			return err
		}
		now, again, failed := r.claim(ctx)
		if failed != nil {
			err = failed
			continue
		}
		switch {
		case now.Refresh == k.Refresh && now.Access == k.Access && now.Lease == k.Lease:
			again.Close() // the first one was written
			return nil
		case now.Lease != r.lease:
			again.Close()
			return errors.New("the lease of the credential was lost before its new tokens were kept")
		}
		err = r.put(ctx, again, k)
		again.Close()
	}
	return nil
}

func (r *rotating) claim(ctx context.Context) (kept, Claim, error) {
	value, claim, err := r.store.Claim(ctx)
	if err != nil {
		return kept{}, nil, r.stored(ctx, err)
	}
	k, err := r.vault.open(value)
	if err != nil {
		claim.Close()
		return kept{}, nil, &Error{URL: endpoint(r.o.TokenURL), Status: http.StatusUnauthorized, Text: err.Error()}
	}
	return k, claim, nil
}

func (r *rotating) put(ctx context.Context, claim Claim, k kept) error {
	value, err := r.vault.seal(k)
	if err != nil {
		return err
	}
	return r.stored(ctx, claim.Put(ctx, value))
}

// stored is an error of the store, for people.
func (r *rotating) stored(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrTaken):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &Error{URL: endpoint(r.o.TokenURL), Text: "the state topic, which keeps the refresh token: " + err.Error()}
}
