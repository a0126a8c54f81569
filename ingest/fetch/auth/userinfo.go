package auth

import (
	"net/http"
	"net/url"

	"github.com/millrace-io/millrace/pipeline"
)

// userInfo is a user and a password in the base URL, which are sent as basic authentication (RFC 7617) unless another
// kind of credentials is. net/http would send them with that URL alone, not with what a next page or a redirect leads
// to.
type userInfo struct{ user, password string }

func newUserInfo(h pipeline.HTTP) Kind {
	u, err := url.Parse(h.BaseURL)
	if err != nil || u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	return userInfo{u.User.Username(), password}
}

func (u userInfo) Apply(req *http.Request) {
	if req.Header.Get("Authorization") == "" {
		req.SetBasicAuth(u.user, u.password)
	}
}

func (userInfo) Strip(h http.Header) { h.Del("Authorization") }

func (userInfo) Param() string { return "" }

func (u userInfo) Secrets() []string { return []string{u.password} }
