package auth

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/millrace-io/millrace/pipeline"
)

// Signer is a [Kind] whose credentials depend on the whole request.
type Signer interface {
	Kind

	// Sign puts the credentials into a request, when all else of it is settled. The error shows no secret.
	Sign(req *http.Request) error
}

// Sign has a request to the API's own host signed, where the credentials ask for it.
func (a All) Sign(req *http.Request) error {
	for _, k := range a {
		if s, ok := k.(Signer); ok {
			if err := s.Sign(req); err != nil {
				return err
			}
		}
	}
	return nil
}

// sigV4 signs as AWS asks for (Signature Version 4).
type sigV4 struct {
	a      *pipeline.AWS
	signer *v4.Signer
}

func newSigV4(h pipeline.HTTP) Kind {
	a := h.Auth.AWS
	if a == nil {
		return nil
	}
	return sigV4{a, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = a.Service == "s3" })}
}

// Apply does nothing: a signature comes last.
func (sigV4) Apply(*http.Request) {}

var signedHeaders = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-Sha256"}

func (sigV4) Strip(h http.Header) {
	for _, name := range signedHeaders {
		h.Del(name)
	}
}

func (sigV4) Param() string { return "" }

func (s sigV4) Secrets() []string {
	return []string{s.a.SecretKey.Reveal(), s.a.SessionToken.Reveal()}
}

// Sign signs the request, its body and the time.
func (s sigV4) Sign(req *http.Request) error {
	s.Strip(req.Header)
	sum := sha256.New()
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return fmt.Errorf("read the body: %w", err)
		}
		_, _ = sum.Write(body)
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	hash := hex.EncodeToString(sum.Sum(nil))
	if s.a.Service == "s3" {
		req.Header.Set("X-Amz-Content-Sha256", hash)
	}
	credentials := aws.Credentials{
		AccessKeyID: s.a.AccessKey, SecretAccessKey: s.a.SecretKey.Reveal(), SessionToken: s.a.SessionToken.Reveal(),
	}
	return s.signer.SignHTTP(context.WithoutCancel(req.Context()), credentials, req, hash, s.a.Service, s.a.Region, time.Now())
}
