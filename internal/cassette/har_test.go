package cassette_test

import (
	"errors"
	"testing"

	"github.com/millrace-io/millrace/internal/cassette"
)

func TestReadHAR(t *testing.T) {
	all, err := cassette.ReadHAR([]byte(`{"log": {"version": "1.2", "entries": [
		{"request": {"method": "GET", "url": "https://api.test/a?x=1", "headers": [{"name": ":path", "value": "/a"}, {"name": "authorization", "value": "Bearer t"}]},
		 "response": {"status": 200, "headers": [{"name": "content-encoding", "value": "gzip"}, {"name": "link", "value": "<b>; rel=next"}],
			"content": {"mimeType": "application/json", "text": "W10=", "encoding": "base64"}}},
		{"request": {"method": "GET", "url": "https://api.test/blocked"}, "response": {"status": 0}}]}}`))
	if err != nil || len(all) != 1 {
		t.Fatalf("%v %+v", err, all)
	}
	x := all[0]
	if x.Method != "GET" || x.URL != "https://api.test/a?x=1" || string(x.Body) != "[]" || x.Header.Get("Link") == "" || x.Header.Get("Content-Encoding") != "" ||
		x.Header.Get("Content-Type") != "application/json" || x.Asked.Get("Authorization") != "Bearer t" || len(x.Asked) != 1 {
		t.Errorf("%+v", x)
	}
	if _, err := cassette.ReadHAR([]byte(`{"openapi": "3.0.0"}`)); !errors.Is(err, cassette.ErrNoHAR) {
		t.Errorf("%v", err)
	}
	if _, err := cassette.ReadHAR([]byte(`openapi: 3.0.0`)); err == nil || errors.Is(err, cassette.ErrNoHAR) {
		t.Errorf("%v", err)
	}
}
