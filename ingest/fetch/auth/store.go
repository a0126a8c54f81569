package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace-io/millrace/pipeline"
)

// Store keeps the tokens of one credential for all processes.
type Store interface {
	// Claim reads what is kept; nil: nothing. From then on nobody who claimed it before can write it. What it returns
	// must be closed.
	Claim(ctx context.Context) (value []byte, c Claim, err error)
}

// Claim may write what is kept, until another one comes.
type Claim interface {
	// Put replaces what is kept. It is durable when Put returns nil. After an error it is not known whether it is, unless
	// that is [ErrTaken].
	Put(ctx context.Context, value []byte) error
	Close()
}

// ErrTaken says that another claim came after this one: what it was to write is not written.
var ErrTaken = errors.New("another process has claimed the credential")

// kept is what is kept of a credential.
type kept struct {
	Refresh string    `json:"refresh"`
	Access  string    `json:"access"`
	Until   time.Time `json:"until,omitzero"` // end of the life of Access; zero: not known

	// Lease says who asks the token endpoint, and until when nobody else may. A refresh token that is sent twice may
	// void them all.
	Lease      string    `json:"lease,omitempty"`
	LeaseUntil time.Time `json:"lease_until,omitzero"`
}

// vault encrypts what is kept, by AES-256 in Galois/Counter Mode.
type vault struct {
	aead cipher.AEAD
	name []byte // of the credential: what is kept of another cannot be put in its place
}

const vaultVersion = 1

func newVault(key pipeline.Secret, name string) (*vault, error) {
	derived, err := hkdf.Key(sha256.New, []byte(key.Reveal()), nil, "millrace credentials", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &vault{aead: aead, name: []byte(name)}, nil
}

func (v *vault) seal(k kept) ([]byte, error) {
	plain, err := json.Marshal(k)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 1+v.aead.NonceSize(), 1+v.aead.NonceSize()+len(plain)+v.aead.Overhead())
	out[0] = vaultVersion
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, err
	}
	return v.aead.Seal(out, out[1:], plain, v.name), nil //nolint:gosec // the nonce is random, and lies in what is returned
}

func (v *vault) open(value []byte) (k kept, err error) {
	if len(value) == 0 {
		return kept{}, nil
	}
	n := 1 + v.aead.NonceSize()
	if len(value) < n || value[0] != vaultVersion {
		return k, errors.New("what is kept of the credential is of another version of millrace")
	}
	plain, err := v.aead.Open(nil, value[1:n], value[n:], v.name)
	if err != nil {
		return k, errors.New("what is kept of the credential was encrypted under another key: set auth.oauth2.key to the one before")
	}
	if err := json.Unmarshal(plain, &k); err != nil {
		return k, fmt.Errorf("what is kept of the credential: %w", err)
	}
	return k, nil
}
