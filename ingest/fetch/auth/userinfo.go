package auth

import (
	"net/http"
	"net/url"

	"github.com/millrace-io/millrace/pipeline"
)

// userInfo is a user and a password in the base URL. net/http sends them to the URL's host by itself, as basic
// authentication (RFC 7617).
type userInfo struct{ password string }

func newUserInfo(h pipeline.HTTP) Kind {
	u, err := url.Parse(h.BaseURL)
	if err != nil || u.User == nil {
		return nil
	}
	password, _ := u.User.Password()
	return userInfo{password}
}

func (userInfo) Apply(*http.Request) {}

func (userInfo) Strip(http.Header) {}

func (userInfo) Param() string { return "" }

func (u userInfo) Secrets() []string { return []string{u.password} }
