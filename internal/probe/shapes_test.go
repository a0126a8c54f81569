package probe_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

// shape is an API as its documentation describes it, with records of the kind that it has.
type shape struct {
	name  string
	query string // path and query that init is given
	serve http.HandlerFunc
	rows  int               // records that there are
	want  map[string]string // by the name of a fact: what is right, as a regular expression
}

type object = map[string]any

func send(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func at(i int) time.Time {
	return time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(i) * 91 * time.Minute)
}

func number(r *http.Request, name string, otherwise int) int {
	if n, err := strconv.Atoi(r.FormValue(name)); err == nil {
		return n
	}
	return otherwise
}

func times[T any](n int, f func(i int) T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

func cutPage[T any](all []T, from, size int) []T {
	from = max(min(from, len(all)), 0)
	return all[from:min(from+size, len(all))]
}

func optional(i int, v any) any {
	if i%3 == 1 {
		return nil
	}
	return v
}

func shapes() []shape {
	return []shape{
		github(), gitlab(), stripe(), hubspot(), zendesk(), slack(), salesforce(), airtable(), google(), graph(), wordpress(), jira(), mastodon(),
		coingecko(), elastic(), rates(), products(), twilio(), ticker(), hackernews(), lines(), flights(), earthquakes(), totals(), feed(), datasette(),
	}
}

// linked serves pages with a Link header, as GitHub, GitLab, WordPress and Mastodon do.
func linked(w http.ResponseWriter, r *http.Request, all []object, size int) {
	page := number(r, "page", 1)
	size = number(r, "per_page", size)
	if page*size < len(all) {
		q := r.URL.Query()
		q.Set("page", strconv.Itoa(page+1))
		w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?%s>; rel="next", <http://%s%s?page=9>; rel="last"`, r.Host, r.URL.Path, q.Encode(), r.Host, r.URL.Path))
	}
	send(w, cutPage(all, (page-1)*size, size))
}

func since(r *http.Request, param, field string, all []object) []object {
	text := r.FormValue(param)
	if text == "" {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(o object) bool { return o[field].(string) < text })
}

func github() shape {
	all := times(75, func(i int) object {
		user := object{"login": fmt.Sprintf("user%d", i), "id": 1000 + i, "node_id": "MDQ6", "avatar_url": "https://x.test/a.png", "type": "User", "site_admin": false}
		for _, more := range []string{"followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events"} {
			user[more+"_url"] = "https://api.github.test/users/u/" + more
		}
		return object{
			"id": 2100000000 + i, "node_id": fmt.Sprintf("I_%d", i), "number": i + 1, "title": fmt.Sprintf("Issue %d does not work", i), "state": "open", "user": user,
			"labels": []object{{"id": 1, "name": "bug"}}, "comments": i % 5, "created_at": at(i).Format(time.RFC3339), "updated_at": at(i + 3).Format(time.RFC3339),
			"closed_at": optional(i, at(i).Format(time.RFC3339)), "body": optional(i, strings.Repeat("It hangs. ", 40)), "locked": false,
			"html_url": "https://github.test/o/r/issues/1", "repository_url": "https://api.github.test/repos/o/r", "milestone": nil, "draft": i%2 == 0,
		}
	})
	return shape{
		name: "GitHub issues", query: "/repos/o/r/issues?state=all", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Ratelimit-Limit", "60")
			linked(w, r, since(r, "since", "updated_at", all), 30)
		},
		want: map[string]string{
			"records": "", "key": "id", "paginate": `\{link:.*`, "changed": "updated_at by since",
			"column id": "bigint key", "column node_id": `varchar\(\d+\)`, "column number": "bigint", "column title": `varchar\(\d+\)`, "column state": `varchar\(\d+\)`,
			"column user": "json", "column labels": "json", "column comments": "bigint", "column created_at": "datetime", "column updated_at": "datetime",
			"column closed_at": "datetime", "column body": "(medium)?text", "column locked": "boolean", "column html_url": `varchar\(\d+\)|text`,
			"column repository_url": `varchar\(\d+\)|text`, "column milestone": "json", "column draft": "boolean",
		},
	}
}

func gitlab() shape {
	all := times(64, func(i int) object {
		return object{
			"id": 500 + i, "iid": i%20 + 1, "project_id": i / 20, "title": "t" + strconv.Itoa(i), "description": strings.Repeat("words ", 60),
			"state": "opened", "created_at": at(i).Format("2006-01-02T15:04:05.000Z"), "updated_at": at(i + 1).Format("2006-01-02T15:04:05.000Z"),
			"due_date": optional(i, "2024-05-01"), "weight": optional(i, 3), "confidential": false,
			"time_stats": object{"time_estimate": 0, "total_time_spent": i, "human_time_estimate": nil},
		}
	})
	return shape{
		name: "GitLab issues", query: "/api/v4/issues", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			linked(w, r, since(r, "updated_after", "updated_at", all), 20)
		},
		want: map[string]string{
			"records": "", "key": "id", "paginate": `\{link:.*`, "changed": "updated_at by updated_after", "column id": "bigint key", "column iid": "bigint", "column project_id": "bigint",
			"column title": `varchar\(\d+\)`, "column description": "text", "column state": `varchar\(\d+\)`, "column created_at": `datetime\(3\)`, "column updated_at": `datetime\(3\)`,
			"column due_date": "date", "column weight": "bigint|decimal.*", "column confidential": "boolean", "column time_stats_time_estimate": "bigint",
			"column time_stats_total_time_spent": "bigint", "column time_stats_human_time_estimate": `varchar\(\d+\)`,
		},
	}
}

func stripe() shape {
	all := times(45, func(i int) object {
		return object{
			"id": fmt.Sprintf("ch_%03dabcdefghij", i), "object": "charge", "amount": 1000 + i, "amount_refunded": 0, "currency": "eur", "created": at(-i).Unix(), "paid": true,
			"customer": optional(i, "cus_"+strconv.Itoa(i)), "description": optional(i, "an order"), "metadata": object{}, "refunds": object{"object": "list", "data": []any{}, "has_more": false},
			"billing_details": object{"email": "a@x.test", "name": optional(i, "Ada"), "phone": nil, "address": object{"city": "Paris", "country": "FR"}}, "livemode": false,
		}
	})
	return shape{
		name: "Stripe charges", query: "/v1/charges", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from := 0
			if after := r.FormValue("starting_after"); after != "" {
				from = 1 + slices.IndexFunc(all, func(o object) bool { return o["id"] == after })
			}
			size := number(r, "limit", 10)
			send(w, object{"object": "list", "url": "/v1/charges", "has_more": from+size < len(all), "data": cutPage(all, from, size)})
		},
		want: map[string]string{
			"records": "data", "key": "id", "paginate": ".*starting_after.*", "changed": "", "column id": `varchar\(\d+\) key`, "column object": `varchar\(\d+\)`, "column amount": "bigint",
			"column amount_refunded": "bigint", "column currency": `varchar\(\d+\)`, "column created": "datetime", "column paid": "boolean", "column customer": `varchar\(\d+\)`,
			"column description": `varchar\(\d+\)|text`, "column metadata": "json", "column refunds_object": `varchar\(\d+\)`, "column refunds_data": "json", "column refunds_has_more": "boolean",
			"column billing_details_email": `varchar\(\d+\)`, "column billing_details_name": `varchar\(\d+\)`, "column billing_details_phone": `varchar\(\d+\)`,
			"column billing_details_address_city": `varchar\(\d+\)`, "column billing_details_address_country": `varchar\(\d+\)`, "column livemode": "boolean",
		},
	}
}

func hubspot() shape {
	all := times(34, func(i int) object {
		return object{
			"id": strconv.Itoa(100 + i), "createdAt": at(i).Format("2006-01-02T15:04:05.000Z"), "updatedAt": at(i + 1).Format("2006-01-02T15:04:05.000Z"), "archived": false,
			"properties": object{"email": fmt.Sprintf("a%d@x.test", i), "firstname": "Ada", "lastname": optional(i, "L"), "hs_object_id": strconv.Itoa(100 + i), "createdate": at(i).Format("2006-01-02T15:04:05.000Z")},
		}
	})
	return shape{
		name: "HubSpot contacts", query: "/crm/v3/objects/contacts", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := number(r, "after", 0), number(r, "limit", 10)
			out := object{"results": cutPage(all, from, size)}
			if from+size < len(all) {
				out["paging"] = object{"next": object{"after": strconv.Itoa(from + size), "link": fmt.Sprintf("http://%s%s?after=%d", r.Host, r.URL.Path, from+size)}}
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "results", "key": "id", "paginate": `\{cursor: \{next: paging\.next\.(link|after, param: after), absent_ends: true\}\}`, "changed": "updatedAt",
			"column id": `varchar\(\d+\) key`, "column createdAt": `datetime\(3\)`, "column updatedAt": `datetime\(3\)`, "column archived": "boolean", "column email": `varchar\(\d+\)`,
			"column firstname": `varchar\(\d+\)`, "column lastname": `varchar\(\d+\)`, "column hs_object_id": `varchar\(\d+\)|bigint`, "column createdate": `datetime\(3\)`,
		},
	}
}

func zendesk() shape {
	all := times(33, func(i int) object {
		return object{
			"id": 35436 + i, "subject": "Help", "status": "open", "priority": optional(i, "high"), "created_at": at(i).Format(time.RFC3339), "updated_at": at(i).Format(time.RFC3339),
			"tags": []string{"a"}, "via": object{"channel": "email", "source": object{"rel": nil}}, "requester_id": 20978392, "is_public": true,
		}
	})
	return shape{
		name: "Zendesk tickets", query: "/api/v2/tickets.json?page[size]=10", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			size, from := number(r, "page[size]", 0), 0
			if after := r.FormValue("page[after]"); after != "" {
				text, _ := base64.StdEncoding.DecodeString(after)
				from, _ = strconv.Atoi(string(text))
			}
			if size == 0 {
				http.Error(w, `{"error":"no"}`, http.StatusBadRequest)
				return
			}
			cursor := base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(min(from+size, len(all)))))
			next := fmt.Sprintf("http://%s%s?page%%5Bafter%%5D=%s&page%%5Bsize%%5D=%d", r.Host, r.URL.Path, cursor, size)
			send(w, object{
				"tickets": cutPage(all, from, size), "meta": object{"has_more": from+size < len(all), "after_cursor": cursor, "before_cursor": "x"}, "links": object{"next": next, "prev": "http://x.test/p"},
			})
		},
		want: map[string]string{
			"records": "tickets", "key": "id", "paginate": `\{cursor: \{next: links\.next,.* stop: \{has_more: meta\.has_more\}\}\}`, "changed": "updated_at",
			"column id": "bigint key", "column subject": `varchar\(\d+\)`, "column status": `varchar\(\d+\)`, "column priority": `varchar\(\d+\)`, "column created_at": "datetime",
			"column updated_at": "datetime", "column tags": "json", "column via_channel": `varchar\(\d+\)`, "column via_source_rel": `varchar\(\d+\)`, "column requester_id": "bigint", "column is_public": "boolean",
		},
	}
}

func slack() shape {
	all := times(27, func(i int) object {
		return object{
			"id": fmt.Sprintf("C%08dXY", i), "name": fmt.Sprintf("channel-%d", i), "is_channel": true, "is_private": false, "created": at(i).Unix(), "creator": "U1", "num_members": i,
			"topic": object{"value": "", "creator": "", "last_set": 0}, "purpose": object{"value": "all of it", "creator": "U1", "last_set": at(i).Unix()},
		}
	})
	return shape{
		name: "Slack conversations.list", query: "/api/conversations.list?limit=10", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := 0, number(r, "limit", 10)
			if c := r.FormValue("cursor"); c != "" {
				text, _ := base64.StdEncoding.DecodeString(c)
				from, _ = strconv.Atoi(strings.TrimPrefix(string(text), "team:"))
			}
			next := ""
			if from+size < len(all) {
				next = base64.StdEncoding.EncodeToString([]byte("team:" + strconv.Itoa(from+size)))
			}
			send(w, object{"ok": true, "channels": cutPage(all, from, size), "response_metadata": object{"next_cursor": next}})
		},
		want: map[string]string{
			"records": "channels", "key": "id", "paginate": `\{cursor: \{next: response_metadata\.next_cursor, param: cursor\}\}`, "changed": "", "column id": `varchar\(\d+\) key`,
			"column name": `varchar\(\d+\)`, "column is_channel": "boolean", "column is_private": "boolean", "column created": "datetime", "column creator": `varchar\(\d+\)`,
			"column num_members": "bigint", "column topic_value": `varchar\(\d+\)`, "column topic_creator": `varchar\(\d+\)`, "column topic_last_set": "bigint|datetime", "column purpose_value": `varchar\(\d+\)`,
			"column purpose_creator": `varchar\(\d+\)`, "column purpose_last_set": "datetime",
		},
	}
}

func salesforce() shape {
	all := times(23, func(i int) object {
		return object{
			"attributes": object{"type": "Account", "url": fmt.Sprintf("/services/data/v60.0/sobjects/Account/001%012d", i)}, "Id": fmt.Sprintf("001%012dAAA", i), "Name": fmt.Sprintf("Acme %d", i),
			"AnnualRevenue": optional(i, 1250000.5), "NumberOfEmployees": optional(i, 10+i), "CreatedDate": at(i).Format("2006-01-02T15:04:05.000+0000"), "SystemModstamp": at(i).Format("2006-01-02T15:04:05.000+0000"), "IsDeleted": false,
		}
	})
	return shape{
		name: "Salesforce query", query: "/services/data/v60.0/query?q=SELECT+FIELDS(ALL)+FROM+Account", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from := 0
			if _, tail, ok := strings.Cut(r.URL.Path, "/query/01g-"); ok {
				from, _ = strconv.Atoi(tail)
			}
			out := object{"totalSize": len(all), "done": from+10 >= len(all), "records": cutPage(all, from, 10)}
			if from+10 < len(all) {
				out["nextRecordsUrl"] = fmt.Sprintf("/services/data/v60.0/query/01g-%d", from+10)
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "records", "key": "Id", "paginate": `\{cursor: \{next: nextRecordsUrl, absent_ends: true.*\}\}`, "changed": "SystemModstamp", "column type": `varchar\(\d+\)`, "column url": `varchar\(\d+\)`,
			"column Id": `varchar\(\d+\) key`, "column Name": `varchar\(\d+\)`, "column AnnualRevenue": `decimal\(\d+,\d+\)|double`, "column NumberOfEmployees": "bigint", "column CreatedDate": `datetime\(3\)`,
			"column SystemModstamp": `datetime\(3\)`, "column IsDeleted": "boolean",
		},
	}
}

func airtable() shape {
	all := times(28, func(i int) object {
		fields := object{"Name": fmt.Sprintf("Row %d", i), "Amount": 12.5 + float64(i), "Due date": "2024-04-01"}
		if i%3 != 0 {
			fields["Notes"] = "some notes"
		}
		return object{"id": fmt.Sprintf("rec%014d", i), "createdTime": at(i).Format("2006-01-02T15:04:05.000Z"), "fields": fields}
	})
	return shape{
		name: "Airtable", query: "/v0/appX/Tasks?pageSize=10", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := 0, number(r, "pageSize", 100)
			if _, tail, ok := strings.Cut(r.FormValue("offset"), "/rec"); ok {
				from, _ = strconv.Atoi(tail)
			}
			out := object{"records": cutPage(all, from, size)}
			if from+size < len(all) {
				out["offset"] = fmt.Sprintf("itrABC/rec%d", from+size)
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "records", "key": "id", "paginate": `\{cursor: \{next: offset, param: offset, absent_ends: true\}\}`, "changed": "", "column id": `varchar\(\d+\) key`,
			"column createdTime": `datetime\(3\)`, "column Name": `varchar\(\d+\)`, "column Amount": `decimal\(\d+,\d+\)`, "column Due_date": "date", "column Notes": `varchar\(\d+\)|text`,
		},
	}
}

func google() shape {
	all := times(24, func(i int) object {
		return object{
			"kind": "calendar#event", "etag": fmt.Sprintf(`"%d"`, i), "id": fmt.Sprintf("ev%020d", i), "status": "confirmed", "summary": "Meeting", "created": at(i).Format(time.RFC3339), "updated": at(i).Format("2006-01-02T15:04:05.000Z"),
			"start": object{"dateTime": at(i).Format("2006-01-02T15:04:05+01:00"), "timeZone": "Europe/Berlin"}, "sequence": 0, "attendees": []object{{"email": "a@x.test"}},
		}
	})
	return shape{
		name: "Google Calendar events", query: "/calendar/v3/calendars/primary/events?maxResults=10", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := 0, number(r, "maxResults", 250)
			if t := r.FormValue("pageToken"); t != "" {
				from, _ = strconv.Atoi(strings.TrimPrefix(t, "tok"))
			}
			items := all
			if m := r.FormValue("updatedMin"); m != "" {
				items = since(r, "updatedMin", "updated", all)
			}
			out := object{"kind": "calendar#events", "summary": "a@x.test", "updated": at(99).Format(time.RFC3339), "timeZone": "Europe/Berlin", "items": cutPage(items, from, size)}
			if from+size < len(items) {
				out["nextPageToken"] = fmt.Sprintf("tok%d", from+size)
			} else {
				out["nextSyncToken"] = "sync"
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "items", "key": "id", "paginate": `\{cursor: \{next: nextPageToken, param: pageToken, absent_ends: true\}\}`, "changed": "updated( by updatedMin)?", "column kind": `varchar\(\d+\)`,
			"column etag": `varchar\(\d+\)`, "column id": `varchar\(\d+\) key`, "column status": `varchar\(\d+\)`, "column summary": `varchar\(\d+\)|text`, "column created": "datetime", "column updated": `datetime\(3\)`,
			"column start_dateTime": "datetime", "column start_timeZone": `varchar\(\d+\)`, "column sequence": "bigint", "column attendees": "json",
		},
	}
}

func graph() shape {
	all := times(22, func(i int) object {
		return object{"id": fmt.Sprintf("%08x-0000-4000-8000-%012x", i, i), "displayName": "Ada", "mail": optional(i, "a@x.test"), "businessPhones": []string{}, "accountEnabled": true, "lastModifiedDateTime": at(i).Format(time.RFC3339)}
	})
	return shape{
		name: "Microsoft Graph users", query: "/v1.0/users?$top=10", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from := number(r, "$skiptoken", 0)
			out := object{"@odata.context": "https://graph.test/$metadata#users", "value": cutPage(all, from, 10)}
			if from+10 < len(all) {
				out["@odata.nextLink"] = fmt.Sprintf("http://%s/v1.0/users?$top=10&$skiptoken=%d", r.Host, from+10)
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "value", "key": "id", "paginate": `\{cursor: \{next: "?@odata\.nextLink"?, absent_ends: true\}\}`, "changed": "lastModifiedDateTime", "column id": `char\(36\) key|varchar\(\d+\) key`,
			"column displayName": `varchar\(\d+\)`, "column mail": `varchar\(\d+\)`, "column businessPhones": "json", "column accountEnabled": "boolean", "column lastModifiedDateTime": "datetime",
		},
	}
}

func wordpress() shape {
	all := times(26, func(i int) object {
		return object{
			"id": 10 + i, "date": at(i).Format("2006-01-02T15:04:05"), "date_gmt": at(i).Format("2006-01-02T15:04:05"), "modified": at(i).Format("2006-01-02T15:04:05"), "modified_gmt": at(i).Format("2006-01-02T15:04:05"),
			"slug": fmt.Sprintf("post-%d", i), "status": "publish", "title": object{"rendered": "Hello"}, "content": object{"rendered": strings.Repeat("<p>text</p>", 90), "protected": false}, "author": 1, "sticky": false, "categories": []int{1},
		}
	})
	return shape{
		name: "WordPress posts", query: "/wp-json/wp/v2/posts", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			list := since(r, "modified_after", "modified", all)
			w.Header().Set("X-Wp-Total", strconv.Itoa(len(list)))
			w.Header().Set("X-Wp-Totalpages", strconv.Itoa((len(list)+9)/10))
			linked(w, r, list, 10)
		},
		want: map[string]string{
			"records": "", "key": "id", "paginate": `\{link:.*`, "changed": "modified(_gmt)? by modified_after", "column id": "bigint key", "column date": "datetime", "column date_gmt": "datetime", "column modified": "datetime",
			"column modified_gmt": "datetime", "column slug": `varchar\(\d+\)`, "column status": `varchar\(\d+\)`, "column title_rendered": `varchar\(\d+\)|text`, "column content_rendered": "(medium)?text", "column content_protected": "boolean",
			"column author": "bigint", "column sticky": "boolean", "column categories": "json",
		},
	}
}

func jira() shape {
	all := times(37, func(i int) object {
		return object{
			"id": strconv.Itoa(10000 + i), "key": fmt.Sprintf("ABC-%d", i), "self": fmt.Sprintf("https://x.test/rest/api/3/issue/%d", i),
			"fields": object{"summary": "It is broken", "created": at(i).Format("2006-01-02T15:04:05.000-0700"), "updated": at(i).Format("2006-01-02T15:04:05.000-0700"), "priority": object{"name": "High", "id": "2"}, "labels": []string{}},
		}
	})
	return shape{
		name: "Jira search", query: "/rest/api/2/search?jql=project=ABC", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := number(r, "startAt", 0), min(number(r, "maxResults", 10), 100)
			send(w, object{"expand": "names", "startAt": from, "maxResults": size, "total": len(all), "issues": cutPage(all, from, size)})
		},
		want: map[string]string{
			"records": "issues", "key": "id", "paginate": `\{offset: \{param: startAt, limit_param: maxResults, limit: \d+, stop: \{total: total\}\}\}`, "changed": "fields.updated", "column id": `varchar\(\d+\) key`,
			"column key": `varchar\(\d+\)`, "column self": `varchar\(\d+\)|text`, "column summary": `varchar\(\d+\)|text`, "column created": `datetime\(3\)`, "column updated": `datetime\(3\)`, "column priority_name": `varchar\(\d+\)`,
			"column priority_id": `varchar\(\d+\)`, "column labels": "json",
		},
	}
}

func mastodon() shape {
	all := times(55, func(i int) object {
		return object{
			"id": strconv.Itoa(112000000000000000 - i), "created_at": at(-i).Format("2006-01-02T15:04:05.000Z"), "in_reply_to_id": optional(i, "111"), "sensitive": false, "spoiler_text": "", "visibility": "public", "language": optional(i, "en"),
			"uri": "https://m.test/users/a/statuses/1", "replies_count": 0, "content": strings.Repeat("<p>Hi</p>", 9), "reblog": nil, "media_attachments": []any{}, "edited_at": nil,
		}
	})
	return shape{
		name: "Mastodon timeline", query: "/api/v1/timelines/public", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from := 0
			if m := r.FormValue("max_id"); m != "" {
				from = 1 + slices.IndexFunc(all, func(o object) bool { return o["id"] == m })
			}
			out := cutPage(all, from, 20)
			if len(out) > 0 {
				w.Header().Set("Link", fmt.Sprintf(`<http://%s%s?max_id=%s>; rel="next", <http://%s%s?min_id=1>; rel="prev"`, r.Host, r.URL.Path, out[len(out)-1]["id"], r.Host, r.URL.Path))
			}
			send(w, out)
		},
		want: map[string]string{
			"records": "", "key": "id", "paginate": `\{link:.*`, "changed": "", "column id": `varchar\(\d+\) key`, "column created_at": `datetime\(3\)`, "column in_reply_to_id": `varchar\(\d+\)|bigint`, "column sensitive": "boolean",
			"column spoiler_text": `varchar\(\d+\)|text`, "column visibility": `varchar\(\d+\)`, "column language": `varchar\(\d+\)`, "column uri": `varchar\(\d+\)|text`, "column replies_count": "bigint", "column content": "(medium)?text",
			"column reblog": "json", "column media_attachments": "json", "column edited_at": "datetime.*",
		},
	}
}

func coingecko() shape {
	all := times(140, func(i int) object {
		return object{
			"id": fmt.Sprintf("coin-%d", i), "symbol": fmt.Sprintf("c%d", i%90), "name": fmt.Sprintf("Coin %d", i), "image": "https://x.test/i.png", "current_price": 70187.1234 / float64(i+1), "market_cap": 1381651251183 - i*1000, "market_cap_rank": i + 1,
			"max_supply": optional(i, 21000000), "price_change_percentage_24h": 3.12502, "ath_date": at(i).Format("2006-01-02T15:04:05.000Z"), "roi": nil, "last_updated": at(i).Format("2006-01-02T15:04:05.000Z"),
		}
	})
	return shape{
		name: "CoinGecko markets", query: "/api/v3/coins/markets?vs_currency=usd", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			size := min(number(r, "per_page", 50), 250)
			send(w, cutPage(all, (number(r, "page", 1)-1)*size, size))
		},
		want: map[string]string{
			"records": "", "key": "id", "paginate": `\{page: \{param: page, size_param: per_page, size: \d+\}\}`, "changed": "last_updated", "column id": `varchar\(\d+\) key`, "column symbol": `varchar\(\d+\)`, "column name": `varchar\(\d+\)`,
			"column image": `varchar\(\d+\)|text`, "column current_price": `decimal.*|double`, "column market_cap": "bigint", "column market_cap_rank": "bigint", "column max_supply": "bigint|decimal.*|double", "column price_change_percentage_24h": "decimal.*|double",
			"column ath_date": `datetime\(3\)`, "column roi": "json", "column last_updated": `datetime\(3\)`,
		},
	}
}

func elastic() shape {
	all := times(42, func(i int) object {
		return object{"_index": "logs", "_id": fmt.Sprintf("doc%d", i), "_score": 1.0, "_source": object{"@timestamp": at(i).Format("2006-01-02T15:04:05.000Z"), "level": "info", "message": "request handled in good time", "took_ms": i}}
	})
	return shape{
		name: "Elasticsearch", query: "/logs/_search", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			send(w, object{"took": 2, "timed_out": false, "_shards": object{"total": 1, "successful": 1}, "hits": object{"total": object{"value": len(all), "relation": "eq"}, "max_score": 1.0, "hits": cutPage(all, number(r, "from", 0), number(r, "size", 10))}})
		},
		want: map[string]string{
			"records": "hits.hits", "key": "_id", "paginate": `\{offset: \{param: from, limit_param: size, limit: \d+, stop: \{total: hits\.total\.value\}\}\}`, "changed": "", "column index": `varchar\(\d+\)`, "column id": `varchar\(\d+\) key`,
			"column score": "decimal.*|double|bigint", "column timestamp": `datetime\(3\)`, "column level": `varchar\(\d+\)`, "column message": `varchar\(\d+\)|text`, "column took_ms": "bigint",
		},
	}
}

func rates() shape {
	return shape{
		name: "Frankfurter rates", query: "/v1/latest", rows: 8,
		serve: func(w http.ResponseWriter, _ *http.Request) {
			send(w, object{"amount": 1.0, "base": "EUR", "date": "2024-03-01", "rates": object{"AUD": 1.6605, "BGN": 1.9558, "BRL": 5.3823, "CHF": 0.9553, "GBP": 0.8561, "JPY": 162.6, "USD": 1.0824, "ZAR": 20.76}})
		},
		want: map[string]string{"records": `\{map: rates, key_as: key, as: value\}`, "key": "key", "paginate": "", "changed": "", "column key": `varchar\(\d+\) key`, "column value": `decimal\(\d+,[4-9]\)|double`},
	}
}

func products() shape {
	all := times(74, func(i int) object {
		return object{
			"id": i + 1, "title": fmt.Sprintf("Product %d", i), "price": float64(999+100*i) / 100, "discountPercentage": 7.17, "rating": 4.94, "stock": i, "tags": []string{"x"}, "sku": fmt.Sprintf("SKU-%d", i), "dimensions": object{"width": 23.17, "height": 14.43, "depth": 28.01},
			"meta": object{"createdAt": at(i).Format("2006-01-02T15:04:05.000Z"), "updatedAt": at(i).Format("2006-01-02T15:04:05.000Z"), "barcode": "9164035109868"},
		}
	})
	return shape{
		name: "DummyJSON products", query: "/products", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, size := number(r, "skip", 0), number(r, "limit", 30)
			page := cutPage(all, from, size)
			send(w, object{"products": page, "total": len(all), "skip": from, "limit": len(page)})
		},
		want: map[string]string{
			"records": "products", "key": "id", "paginate": `\{offset: \{param: skip, limit_param: limit, limit: \d+, stop: \{total: total\}\}\}`, "changed": "meta.updatedAt", "column id": "bigint key", "column title": `varchar\(\d+\)|text`,
			"column price": `decimal.*`, "column discountPercentage": `decimal.*`, "column rating": "decimal.*", "column stock": "bigint", "column tags": "json", "column sku": `varchar\(\d+\)`, "column dimensions_width": "decimal.*",
			"column dimensions_height": "decimal.*", "column dimensions_depth": "decimal.*", "column meta_createdAt": `datetime\(3\)`, "column meta_updatedAt": `datetime\(3\)`, "column meta_barcode": `varchar\(\d+\)`,
		},
	}
}

func twilio() shape {
	all := times(31, func(i int) object {
		return object{
			"sid": fmt.Sprintf("SM%032x", i), "account_sid": "AC1", "body": "Your code is 1", "from": "+15550100", "to": "+15550101", "status": "delivered", "num_segments": "1", "price": optional(i, "-0.00750"), "price_unit": "USD",
			"date_created": at(i).Format("Mon, 02 Jan 2006 15:04:05 +0000"), "date_updated": at(i).Format("Mon, 02 Jan 2006 15:04:05 +0000"), "error_code": nil, "subresource_uris": object{"media": "/m.json"},
		}
	})
	return shape{
		name: "Twilio messages", query: "/2010-04-01/Accounts/AC1/Messages.json", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			page, size := number(r, "Page", 0), number(r, "PageSize", 10)
			var next any
			if (page+1)*size < len(all) {
				next = fmt.Sprintf("/2010-04-01/Accounts/AC1/Messages.json?Page=%d&PageSize=%d&PageToken=PASM", page+1, size)
			}
			send(w, object{"messages": cutPage(all, page*size, size), "page": page, "page_size": size, "start": page * size, "end": page*size + size - 1, "uri": r.URL.RequestURI(), "first_page_uri": "/x", "next_page_uri": next, "previous_page_uri": nil})
		},
		want: map[string]string{
			"records": "messages", "key": "sid", "paginate": `\{cursor: \{next: next_page_uri.*\}\}`, "changed": "date_updated", "column sid": `varchar\(\d+\) key`, "column account_sid": `varchar\(\d+\)`, "column body": "text|varchar.*", "column from": `varchar\(\d+\)`,
			"column to": `varchar\(\d+\)`, "column status": `varchar\(\d+\)`, "column num_segments": `varchar\(\d+\)|bigint`, "column price": `decimal\(\d+,[5-9]\)`, "column price_unit": `varchar\(\d+\)`, "column date_created": "datetime", "column date_updated": "datetime",
			"column error_code": "bigint|int", "column subresource_uris_media": `varchar\(\d+\)`,
		},
	}
}

func ticker() shape {
	all := times(40, func(i int) object {
		return object{
			"symbol": fmt.Sprintf("C%dUSDT", i), "priceChange": "-94.99999800", "lastPrice": fmt.Sprintf("%d.00000200", i), "volume": "8913.30000000", "openTime": at(i).UnixMilli(), "closeTime": at(i).UnixMilli() + 86399999, "firstId": 28385 + i, "count": 76,
		}
	})
	return shape{
		name: "Exchange ticker", query: "/api/v3/ticker/24hr", rows: len(all), serve: func(w http.ResponseWriter, _ *http.Request) { send(w, all) },
		want: map[string]string{
			"records": "", "key": "symbol", "paginate": "", "changed": "", "column symbol": `varchar\(\d+\) key`, "column priceChange": `decimal.*`, "column lastPrice": "decimal.*", "column volume": "decimal.*", "column openTime": `datetime\(3\)`,
			"column closeTime": `datetime\(3\)`, "column firstId": "bigint", "column count": "bigint",
		},
	}
}

func hackernews() shape {
	all := times(120, func(i int) int { return 39563000 - 3*i })
	return shape{
		name: "Hacker News top stories", query: "/v0/topstories.json", rows: len(all), serve: func(w http.ResponseWriter, _ *http.Request) { send(w, all) },
		want: map[string]string{"records": `\{values: "?\$"?, as: id\}`, "key": "id", "paginate": "", "changed": "", "column id": "bigint key"},
	}
}

func lines() shape {
	var b bytes.Buffer
	for i := range 20 {
		fmt.Fprintf(&b, `{"event_id":"%08d","kind":"click","time":%d,"value":%d.%02d}`+"\n", i, at(i).UnixMilli(), i, i)
	}
	return shape{
		name: "NDJSON export", query: "/export/events", rows: 20,
		serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-ndjson")
			_, _ = io.Copy(w, bytes.NewReader(b.Bytes()))
		},
		want: map[string]string{"records": "ndjson", "key": "event_id", "paginate": "", "changed": "", "column event_id": `varchar\(\d+\) key`, "column kind": `varchar\(\d+\)`, "column time": `datetime\(3\)`, "column value": "decimal.*"},
	}
}

// flights are departures as the Bureau of Transportation Statistics has them: no field is a key alone.
func flights() shape {
	all := times(90, func(i int) object {
		o := object{
			"year": 2013, "month": 1, "day": 1, "dep_time": 517 + i, "sched_dep_time": 515 + i%30, "dep_delay": i%9 - 4, "carrier": []string{"UA", "AA", "B6"}[i%3], "flight": 1500 + i%45, "tailnum": fmt.Sprintf("N%dUA", i%40), "origin": "EWR", "dest": "IAH",
			"air_time": 227, "distance": 1400, "time_hour": fmt.Sprintf("2013-01-01T%02d:00:00Z", i/45+5),
		}
		if i%30 == 7 {
			o["dep_time"], o["dep_delay"], o["air_time"] = nil, nil, nil
		}
		return o
	})
	return shape{
		name: "flights by page", query: "/flights?per_page=40", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			page, size := number(r, "page", 1), number(r, "per_page", 40)
			send(w, object{"flights": cutPage(all, (page-1)*size, size), "page": page, "per_page": size, "total_pages": (len(all) + size - 1) / size, "total": len(all)})
		},
		want: map[string]string{
			"records": "flights", "key": "time_hour, (carrier, )?flight|flight, time_hour", "paginate": `\{page: \{param: page, size_param: per_page, size: 40, stop: \{pages: total_pages\}\}\}`, "changed": "", "column year": "bigint|year", "column month": "bigint", "column day": "bigint",
			"column dep_time": "bigint", "column sched_dep_time": "bigint", "column dep_delay": "bigint", "column carrier": `varchar\(\d+\)( key)?`, "column flight": "bigint key", "column tailnum": `varchar\(\d+\)`, "column origin": `varchar\(\d+\)`, "column dest": `varchar\(\d+\)`,
			"column air_time": "bigint", "column distance": "bigint", "column time_hour": `(datetime|varchar\(\d+\)) key`,
		},
	}
}

// earthquakes are served as the United States Geological Survey does: see package quakeapi.
func earthquakes() shape {
	server, err := quakeapi.New(quakeapi.Config{Seed: 1, First: time.Hour, Every: time.Hour})
	if err != nil {
		panic(err)
	}
	return shape{
		name: "USGS earthquakes", query: "/fdsnws/event/1/query?format=geojson&orderby=time-asc&starttime=2018-02-01&endtime=2018-02-03&limit=100", rows: -1, serve: server.ServeHTTP,
		want: map[string]string{
			"records": "features", "key": "id", "paginate": `\{offset: \{param: offset, limit_param: limit, limit: 100, start: 1\}\}`, "changed": "properties.updated by updatedafter", "column id": `varchar\(\d+\) key`, "column type": `varchar\(\d+\)`,
			"column geometry_type": `varchar\(\d+\)`, "column geometry_coordinates": "json", "column time": `datetime\(3\)`, "column updated": `datetime\(3\)`, "column mag": `decimal.*`, "column place": `varchar\(\d+\)`, "column tz": "bigint", "column url": `varchar\(\d+\)|text`,
			"column detail": `varchar\(\d+\)|text`, "column felt": "bigint", "column cdi": "decimal.*", "column mmi": "decimal.*", "column alert": `varchar\(\d+\)`, "column status": `varchar\(\d+\)`, "column tsunami": "bigint|boolean", "column sig": "bigint", "column net": `varchar\(\d+\)`,
			"column code": `varchar\(\d+\)`, "column ids": `varchar\(\d+\)`, "column sources": `varchar\(\d+\)`, "column types": `varchar\(\d+\)|text`, "column nst": "bigint", "column dmin": "decimal.*|double", "column rms": "decimal.*", "column gap": "decimal.*|bigint",
			"column magType": `varchar\(\d+\)`, "column title": `varchar\(\d+\)`, "column properties_type": `varchar\(\d+\)`,
		},
	}
}

// totals is an API that counts its records in a header, and answers 404 past the end.
func totals() shape {
	all := times(58, func(i int) object {
		return object{"uuid": fmt.Sprintf("%08d-1111-4111-8111-111111111111", i), "label": fmt.Sprintf("Item %d", i), "amount": fmt.Sprintf("%d.25", i), "day": at(i * 20).Format("2006-01-02"), "changed_at": at(i).Format("2006-01-02 15:04:05")}
	})
	return shape{
		name: "total in a header", query: "/items?page=1&page_size=20", rows: len(all),
		serve: func(w http.ResponseWriter, r *http.Request) {
			page, size := number(r, "page", 1), number(r, "page_size", 20)
			if (page-1)*size >= len(all) {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
			send(w, cutPage(since(r, "changed_since", "changed_at", all), (page-1)*size, size))
		},
		want: map[string]string{
			"records": "", "key": "uuid", "paginate": `\{page: \{param: page, size_param: page_size, size: 20, stop: \{total_header: X-Total-Count\}\}\}`, "changed": "changed_at by changed_since", "column uuid": `char\(36\) key`, "column label": `varchar\(\d+\)`,
			"column amount": `decimal.*`, "column day": "date", "column changed_at": "datetime",
		},
	}
}

// feed is a file of CSV.
func feed() shape {
	var b bytes.Buffer
	b.WriteString("station_id,observed at,temperature,remark\n")
	for i := range 30 {
		fmt.Fprintf(&b, "ST%03d,%s,%d.%d,\"fair, dry\"\n", i, at(i).Format(time.RFC3339), i, i%10)
	}
	return shape{
		name: "CSV feed", query: "/feeds/stations.csv", rows: 30,
		serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/csv; charset=utf-8")
			_, _ = w.Write(b.Bytes())
		},
		want: map[string]string{
			"records": "csv", "key": "station_id", "paginate": "", "changed": "", "column station_id": `varchar\(\d+\) key`, "column observed_at": "datetime", "column temperature": "decimal.*", "column remark": `varchar\(\d+\)`,
		},
	}
}

// datasette answers with rows and the names of their columns, and takes a parameter that it does not know for a column
// that must have this value, which no row has.
func datasette() shape {
	all := times(250, func(i int) []any {
		return []any{i + 1, fmt.Sprintf("Customer %d", i%17), float64(i) + 0.25, optional(i, "a note"), at(i % 90).Format(time.RFC3339)}
	})
	return shape{
		name: "datasette", query: "/shop/orders.json", rows: 250,
		serve: func(w http.ResponseWriter, r *http.Request) {
			from, rows := number(r, "_next", 0), all
			for name := range r.URL.Query() {
				if !strings.HasPrefix(name, "_") {
					rows = nil
				}
			}
			answer := object{
				"database": "shop", "columns": []string{"id", "customer", "total", "note", "updated_at"}, "rows": cutPage(rows, from, 100), "truncated": false,
				"suggested_facets": []object{{"name": "customer", "toggle_url": "/a"}, {"name": "note", "toggle_url": "/b"}}, "next": nil, "next_url": nil,
			}
			if from+100 < len(rows) {
				url := fmt.Sprintf("http://%s/shop/orders.json?_next=%d", r.Host, from+100)
				answer["next"], answer["next_url"] = strconv.Itoa(from+100), url
				w.Header().Set("Link", "<"+url+`>; rel="next"`)
			}
			send(w, answer)
		},
		want: map[string]string{
			"records": `\{rows: rows, columns: columns\}`, "key": "id", "paginate": `\{link: \{absent_ends: true\}\}`, "changed": "updated_at",
			"column id": "bigint key", "column customer": `varchar\(255\)`, "column total": `decimal\(\d+,\d+\)`, "column note": `varchar\(255\)|text`, "column updated_at": "datetime",
		},
	}
}
