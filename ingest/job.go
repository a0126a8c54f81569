package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/paginate"
	"github.com/millrace-io/millrace/ingest/request"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
)

// A report job is a pass of several requests: one creates the job, others ask until it is done, and then its files are
// fetched. To the rest of ingest these are pages: the first has no records, and leads to the others by the job's id,
// which is committed as the cursor. So whoever takes over goes on asking for that job, and creates no other. A process
// that dies between the answer that names the job and the commit leaves a job that nobody asks for; its successor
// creates another.

// JobError says that a job has failed, or was not done in time. The pass begins again, with another one.
type JobError struct{ Says string }

func (e *JobError) Error() string { return "the job " + e.Says }

// Is says that asking the API again does not help.
func (e *JobError) Is(target error) bool { return target == fetch.ErrFinal }

// mostJob is the largest answer about a job that is read.
const mostJob = 4 << 20

// jobStep is what a page of a job leads to.
type jobStep struct {
	next  paginate.Position
	ended paginate.Reason
}

// jobRules are the conditions of a stream's job. They are read-only.
type jobRules struct{ done, failed errorRule }

func newJobRules(in *pipeline.Ingest) (*jobRules, error) {
	if in.Job == nil {
		return nil, nil //nolint:nilnil // there is no job
	}
	r := &jobRules{done: newErrorRule(in.Job.Done), failed: newErrorRule(in.Job.Failed)}
	if r.done.err != nil {
		return nil, fmt.Errorf("ingest.job.done: %w", r.done.err)
	}
	if r.failed.err != nil {
		return nil, fmt.Errorf("ingest.job.failed: %w", r.failed.err)
	}
	return r, nil
}

// ofJob is the page at a position in a pass with a job.
func (s *slice) ofJob(ctx context.Context, c cursor.Cursor, at paginate.Position) (*page, error) {
	if at.Cursor == "" {
		return s.create(ctx, c, at)
	}
	files, err := s.results(ctx, c, at)
	if err != nil {
		return nil, err
	}
	n := int(at.Index) - 1
	if n >= len(files) {
		return nil, &JobError{Says: fmt.Sprintf("has %d files, and had more", len(files))}
	}
	p := &page{slice: s, at: at, asked: files[n], url: s.client.Redactor().URL(files[n])}
	check := func(a *fetch.Answer) error { return s.reader.read(a, p) }
	if _, err := s.client.Do(ctx, request.Get(files[n]), check); err != nil {
		return nil, err
	}
	p.job = &jobStep{next: paginate.Position{Index: at.Index + 1, Cursor: at.Cursor}}
	if n == len(files)-1 {
		p.job.ended = paginate.LastFile
	}
	return p, nil
}

// create asks for a job. Its page holds nothing.
func (s *slice) create(ctx context.Context, c cursor.Cursor, at paginate.Position) (*page, error) {
	r, err := s.request(c, at)
	if err != nil {
		return nil, err
	}
	id := ""
	p := &page{slice: s, at: at, asked: r.URL, url: s.client.Redactor().URL(r.URL)}
	a, err := s.client.Plain().Do(ctx, r, func(a *fetch.Answer) error {
		var err error
		id, err = s.jobID(a)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.Nothing = http.StatusAccepted
	if err := s.reader.read(a, p); err != nil {
		a.Body.Close()
		return nil, err
	}
	p.job = &jobStep{next: paginate.Position{Index: at.Index + 1, Cursor: id}}
	return p, nil
}

// jobID is what names the job in the answer to its creation: a value, or a URL.
func (s *slice) jobID(a *fetch.Answer) (string, error) {
	job := s.stream.Ingest.Job
	if job.IDHeader != "" {
		if id := a.Header.Get(job.IDHeader); id != "" {
			return s.sealed(id, a.URL), nil
		}
		return "", fmt.Errorf("the answer has no header %s, which names the job", job.IDHeader)
	}
	body, err := jobBody(a)
	if err != nil {
		return "", err
	}
	if id := textAt(body, job.ID); id != "" && id != "null" {
		return s.sealed(id, a.URL), nil
	}
	return "", fmt.Errorf("the answer has no %s, which names the job", pipeline.FormatPath(job.ID))
}

// sealed is an id as it is kept: of one that is a URL, without what the pipeline file says is secret.
func (s *slice) sealed(id string, base *url.URL) string {
	if !strings.Contains(id, "/") {
		return id
	}
	u, err := base.Parse(id)
	if err != nil {
		return id
	}
	return s.client.Strip(u).String()
}

// jobBody is an answer about a job.
func jobBody(a *fetch.Answer) ([]byte, error) {
	if a.Body == nil || a.Body.Size() == 0 || a.Body.Size() > mostJob || a.Body.Bytes() == nil {
		return nil, errors.New("the answer is no JSON object that tells of a job")
	}
	v := jsontext.Value(a.Body.Bytes())
	if !v.IsValid(jsontext.AllowDuplicateNames(true)) || v.Kind() != '{' {
		return nil, errors.New("the answer is no JSON object that tells of a job")
	}
	return v, nil
}

// results asks until the job is done, and returns where its files are. Each page asks again: such URLs mostly are good
// for a while only, and may hold a signature, so that they are not kept.
func (s *slice) results(ctx context.Context, c cursor.Cursor, at paginate.Position) ([]*url.URL, error) {
	job := s.stream.Ingest.Job
	u, err := s.jobURL(job.StatusPath, at.Cursor)
	if err != nil {
		return nil, err
	}
	for {
		var files []*url.URL
		done := false
		a, err := s.client.Plain().Do(ctx, request.Get(u), func(a *fetch.Answer) error {
			body, err := jobBody(a)
			if err != nil {
				return err
			}
			if done, err = s.jobDone(body); err != nil || !done {
				return err
			}
			files, err = s.files(body, at.Cursor, a.URL)
			return err
		})
		if err != nil {
			return nil, err
		}
		a.Body.Close()
		if done {
			return files, nil
		}
		if time.Since(c.Started) > job.Timeout {
			return nil, &JobError{Says: "was not done within job.timeout"}
		}
		s.goesOn()
		if err := stage.Sleep(ctx, s.pause(job.Poll)); err != nil {
			return nil, err
		}
	}
}

// pause is d, unless nothing is asked for in truth.
func (s *slice) pause(d time.Duration) time.Duration {
	if s.recorded {
		return 0
	}
	return d
}

func (s *slice) jobDone(body []byte) (bool, error) {
	if s.jobs.failed.when != nil {
		failed, err := s.jobs.failed.holds(body)
		if err != nil {
			return false, fmt.Errorf("ingest.job.failed: %w", err)
		}
		if failed {
			return false, &JobError{Says: "has failed: " + s.client.Redactor().Text(shortText(body))}
		}
	}
	done, err := s.jobs.done.holds(body)
	if err != nil {
		return false, fmt.Errorf("ingest.job.done: %w", err)
	}
	return done, nil
}

// shortText is the beginning of a text.
func shortText(text []byte) string {
	return strings.ToValidUTF8(string(text[:min(len(text), 300)]), "")
}

// files are where the results of a job are: a field with a URL or a list of them, or a path.
func (s *slice) files(body []byte, id string, base *url.URL) ([]*url.URL, error) {
	job := s.stream.Ingest.Job
	if job.ResultPath != "" {
		u, err := s.jobURL(job.ResultPath, id)
		return []*url.URL{u}, err
	}
	var found [1]jsontext.Value
	cut.NewFields(job.Result).Find(body, found[:])
	var texts []string
	switch v := found[0]; {
	case v.Kind() == '"':
		text, _ := jsontext.AppendUnquote(nil, v)
		texts = []string{string(text)}
	case v.Kind() == '[':
		_, err := cut.Bytes(v, &cut.Envelope{Shape: cut.Shape{Kind: pipeline.ShapeValues, As: "u"}, MaxRecordBytes: mostJob}, func(_ int, value []byte) error {
			texts = append(texts, textAt(value, []string{"u"}))
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(texts) == 0 {
		return nil, fmt.Errorf("the job is done, and its answer has no URL at %s", pipeline.FormatPath(job.Result))
	}
	var out []*url.URL
	for _, text := range texts {
		u, err := base.Parse(text)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("what stands at %s is no URL", pipeline.FormatPath(job.Result))
		}
		out = append(out, u)
	}
	return out, nil
}

// jobURL is a path of the pipeline file in which {job} stands for an id; without a path the id is a URL.
func (s *slice) jobURL(text, id string) (*url.URL, error) {
	base := strings.TrimRight(s.stream.Ingest.HTTP.BaseURL, "/")
	if text == "" {
		from, err := url.Parse(base + "/")
		if err != nil {
			return nil, err
		}
		return from.Parse(id)
	}
	before, query, asks := strings.Cut(text, "?")
	full := base + strings.ReplaceAll(before, pipeline.PlaceJob, url.PathEscape(id))
	if asks {
		full += "?" + strings.ReplaceAll(query, pipeline.PlaceJob, url.QueryEscape(id))
	}
	return url.Parse(full)
}
