package paginate_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/pipeline"
)

// TestDetect: first pages of real APIs, without their records, and what is taken from them.
func TestDetect(t *testing.T) {
	cursor := func(param string, next ...string) pipeline.Paginate {
		return pipeline.Paginate{Cursor: &pipeline.BodyCursor{Next: next, Param: param, AbsentEnds: true}}
	}
	pages := func(param string, first int64, stop pipeline.StopRule) pipeline.Paginate {
		return pipeline.Paginate{Page: &pipeline.PageNumber{Param: param, Start: first, Stop: stop}}
	}
	for name, c := range map[string]struct {
		asked, link, header, rest string
		want                      pipeline.Paginate
	}{
		"GitHub": {link: `<https://api.test/repositories/1/issues?page=2>; rel="next"`, want: pipeline.Paginate{Link: &pipeline.LinkHeader{Rel: "next", AbsentEnds: true}}},
		"Zendesk": {rest: `{"meta":{"has_more":true,"after_cursor":"x"},"links":{"prev":null,"next":"https://api.test/t.json?page[after]=x"}}`,
			want: cursor("", "links", "next")},
		"Microsoft Graph":       {rest: `{"@odata.context":"c","@odata.nextLink":"https://api.test/u?$skiptoken=x"}`, want: cursor("", "@odata.nextLink")},
		"Salesforce":            {rest: `{"done":false,"totalSize":5000,"nextRecordsUrl":"/services/data/query/01g"}`, want: cursor("", "nextRecordsUrl")},
		"Twilio":                {rest: `{"next_page_uri":"/2010/Messages.json?Page=1","page":0,"start":0,"end":49}`, want: cursor("", "next_page_uri")},
		"HAL":                   {rest: `{"_links":{"self":{"href":"/a"},"next":{"href":"/a?page=2"}},"total":90}`, want: cursor("", "_links", "next", "href")},
		"Slack":                 {rest: `{"ok":true,"response_metadata":{"next_cursor":"dGVhbTpD"}}`, want: cursor("cursor", "response_metadata", "next_cursor")},
		"Google":                {rest: `{"kind":"k","nextPageToken":"x"}`, want: cursor("pageToken", "nextPageToken")},
		"Google, with signs":    {rest: `{"next_page_token":"x"}`, want: cursor("page_token", "next_page_token")},
		"next page's number":    {rest: `{"meta":{"next_page":2}}`, want: cursor("page", "meta", "next_page")},
		"number of pages":       {rest: `{"page":1,"total_pages":7}`, want: pages("page", 1, pipeline.StopRule{When: "pages", Field: []string{"total_pages"}})},
		"pages from 0":          {rest: `{"page":{"number":0,"totalPages":7}}`, asked: "p=0", want: pages("p", 0, pipeline.StopRule{When: "pages", Field: []string{"page", "totalPages"}})},
		"WordPress":             {header: "X-WP-TotalPages: 3", rest: ``, want: pages("page", 1, pipeline.StopRule{When: "pages", Header: "X-Wp-Totalpages"})},
		"older Jira":            {rest: `{"startAt":0,"maxResults":50,"total":120}`, want: pipeline.Paginate{Offset: &pipeline.OffsetLimit{Param: "startAt", Limit: 10, Stop: pipeline.StopRule{When: "total", Field: []string{"total"}}}}},
		"a parameter":           {asked: "page=1&per_page=10", want: pages("page", 1, pipeline.StopRule{})},
		"Calendar's last page":  {rest: `{"nextSyncToken":"s1"}`},
		"last page":             {rest: `{"next":null,"count":10}`},
		"end of stream":         {rest: `{"end_of_stream":true,"after_url":"https://api.test/x","next_page":"https://api.test/y"}`},
		"Stripe, a keyset":      {rest: `{"object":"list","has_more":true,"url":"/v1/charges"}`},
		"a total, and no place": {rest: `{"total":120}`},
	} {
		t.Run(name, func(t *testing.T) {
			pager := paginate.New(pipeline.Paginate{Auto: true})
			page := &paginate.Page{Records: 10, Rest: jsontext.Value(c.rest), Header: http.Header{}, Asked: &url.URL{Scheme: "https", Host: "api.test", Path: "/a", RawQuery: c.asked}}
			if c.link != "" {
				page.Header.Set("Link", c.link)
			}
			if c.header != "" {
				page.Header.Set("X-Wp-Totalpages", "3")
			}
			got, from, found := pager.(paginate.Detector).Detect(page)
			if d := cmp.Diff(c.want, got); d != "" || found != (from != "") || found != (c.want != pipeline.Paginate{}) {
				t.Errorf("from %q, %v (-want +got):\n%s", from, found, d)
			}
		})
	}
}

// TestNothingDetected: a page of which more is known than can be followed is no end.
func TestNothingDetected(t *testing.T) {
	pager := paginate.New(pipeline.Paginate{Auto: true})
	for rest, ends := range map[string]bool{
		`{"has_more":true}`: false, `{"total":120}`: false, `{"total":10}`: true, ``: true, `{"next":null}`: true, `{"next":{"after":5}}`: true, `{"next_cursor":"x","a":1}`: false,
	} {
		page := &paginate.Page{Records: 10, Rest: jsontext.Value(rest), Header: http.Header{}}
		_, ended, err := pager.Next(pager.First(), page)
		if (err == nil) != ends || (ended == paginate.OnlyPage) != ends {
			t.Errorf("%s: ended %q, error %v", rest, ended, err)
		}
	}
}
