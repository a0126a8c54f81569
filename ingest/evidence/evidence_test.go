package evidence_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/evidence"
)

func read(body string) *evidence.Body { return evidence.Read(jsontext.Value(body)) }

func TestMore(t *testing.T) {
	for body, want := range map[string]string{
		`{"object":"list","data":[],"has_more":true}`:                                              "has_more is true",
		`{"meta":{"nextCursor":"abc"}}`:                                                            `meta.nextCursor is "abc"`,
		`{"meta":{"next_cursor":2}}`:                                                               "meta.next_cursor is 2",
		`{"@odata.nextLink":"https://x/?skip=3"}`:                                                  `"@odata.nextLink" is "https://x/?skip=3"`,
		`{"links":{"next":{"href":"/a?p=2"}}}`:                                                     `links.next is {"href":"/a?p=2"}`,
		`{"link":[{"relation":"self","url":"/a"},{"relation":"next","url":"/b"}]}`:                 "link is ",
		`{"pageInfo":{"hasNextPage":true,"endCursor":"x"}}`:                                        "pageInfo.hasNextPage is true",
		`{"last":false,"number":0}`:                                                                "last is false",
		`{"IsTruncated":"true"}`:                                                                   "IsTruncated is",
		`{"has_more":false,"next":null}`:                                                           "",
		`{"next":"","next_cursor":0,"next_page":false,"links":{"next":null,"self":{"href":"/a"}}}`: "",
		`{"link":[{"relation":"self","url":"/a"}],"context":"next"}`:                               "",
		`{"next_run_at":"2024-01-01","nextBirthday":7}`:                                            "",
		`{"more":[]}`: "",
		``:            "",
		`[1]`:         "",
	} {
		got := strings.Join(read(body).More(), "; ")
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
}

func TestNoMoreAndTotals(t *testing.T) {
	if !read(`{"has_more":false}`).NoMore() || !read(`{"page":{"last":true}}`).NoMore() ||
		!read(`{"count":4,"next":null}`).NoMore() || read(`{"next":null,"has_more":true}`).NoMore() || read(`{"prev":null}`).NoMore() || read(`{"has_more":false,"next":"x"}`).NoMore() || read(`{"a":1}`).NoMore() {
		t.Error("NoMore")
	}
	for body, want := range map[string]string{
		`{"total":25}`:                    "total is 25",
		`{"meta":{"totalCount":"25"}}`:    `meta.totalCount is "25"`,
		`{"@odata.count":11}`:             `"@odata.count" is 11`,
		`{"total":10,"count":10}`:         "",
		`{"page":{"totalPages":2}}`:       "page.totalPages is 2",
		`{"total_pages":1,"pages":"one"}`: "",
	} {
		if got := strings.Join(read(body).Beyond(10), "; "); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	if !read(`{"total":0}`).Total(0) || read(`{"total":1}`).Total(0) || read(`{}`).Total(0) {
		t.Error("Total")
	}
	for query, want := range map[string]bool{"limit=37": true, "per_page=37": true, "$top=37": true, "limit=38": false, "x=37": false} {
		u, err := url.Parse("https://x/?" + query)
		if err != nil {
			t.Fatal(err)
		}
		if got := evidence.Full(u, 37); (got != "") != want {
			t.Errorf("%s: %q", query, got)
		}
	}
	for n, want := range map[int64]bool{0: false, 1: false, 9: false, 10: true, 25: true, 99: false, 100: true, 250: true, 350: true, 351: false} {
		if got := evidence.Full(nil, n); (got != "") != want {
			t.Errorf("%d records: %q", n, got)
		}
	}
}

func TestFailure(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"message":"internal"}],"data":null}`:                `errors is [{"message":"internal"}]`,
		`{"data":[],"errors":{"a":"b"}}`:                                 `errors is {"a":"b"}`,
		`{"error":"rate limited"}`:                                       `error is "rate limited"`,
		`{"error":{"code":5}}`:                                           `error is {"code":5}`,
		`{"error":true,"message":"overloaded"}`:                          `error is true, message is "overloaded"`,
		`{"error":17,"detail":"x"}`:                                      `error is 17, detail is "x"`,
		`{"ok":false,"error":"ratelimited"}`:                             `ok is false, error is "ratelimited"`,
		`{"success":false}`:                                              "success is false",
		`{"success":"false"}`:                                            `success is "false"`,
		`{"status":"Error","message":"down"}`:                            `status is "Error", message is "down"`,
		`{"response":{"error":"x"}}`:                                     `response.error is "x"`,
		`{"meta":{"success":false}}`:                                     "meta.success is false",
		`{"errors":[],"error":null,"ok":true,"success":1,"status":"ok"}`: "",
		`{"error":"","errors":{},"fault":false}`:                         "",
		`{"error":0,"errors":0}`:                                         "",
		`{"stats":{"errors":3,"error":"x"}}`:                             "",
		`{"meta":{"errors":3}}`:                                          "",
		`{"status":200}`:                                                 "",
		``:                                                               "",
	} {
		if got := read(body).Failure([]string{"data"}); got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	if got := read(`{"error":{"items":[]},"errors":["x"]}`).Failure([]string{"error", "items"}); got != `errors is ["x"]` {
		t.Error(got)
	}
	if got := read(`{"error":"` + strings.Repeat("ü", 5000) + `"}`).Failure(nil); len(got) > 400 {
		t.Errorf("%d bytes", len(got))
	}
}

func TestNames(t *testing.T) {
	if got := read(`{"object":"list","meta":{"a":1,"b.c":[]},"empty":{}}`).Names(); got != `object, meta.a, meta."b.c", empty` {
		t.Error(got)
	}
	if got := read(`{}`).Names(); got != "none" {
		t.Error(got)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(`{"a":{"next":[{"rel":"next","href":"x"}]},"error":1}`)
	f.Fuzz(func(_ *testing.T, rest string) {
		b := read(rest)
		_, _, _, _ = b.More(), b.Failure(nil), b.Names(), b.Beyond(1)
	})
}
