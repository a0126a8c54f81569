package processor

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Kinds of notices about what a stream runs.
const (
	noticePaused   = "paused"
	noticeGrowing  = "partitions"
	noticeOldFile  = "old_file"
	noticeOtherKey = "other_key"
	noticeLogic    = "live_logic"
	noticeLost     = "positions_lost"
	noticeGap      = "positions_not_in_log"
)

// runs is what a session runs of a stream: the live logic, in the generation and the epoch that were decided. It tells
// of what a person should know.
func (p *Processor) runs(topic string, file *stream, s *control.Stream, f *facts) *stream {
	told := map[string]string{}
	run := p.logicOf(file, s, f, told)
	if pause, ok := s.Paused[stageName]; ok {
		run.stands = true
		told[noticePaused] = p.pausedText(file.name, pause)
	}
	if why := s.Growing(stageName, p.pipeline.Kafka.Partitions); why != "" {
		run.stands = true
		told[noticeGrowing] = strings.ReplaceAll(why, " FILE ", " "+cmp.Or(p.env.File, "FILE")+" ")
	}
	if s.Without() {
		run.stands = true // the lines that are there are pipelines of their own
	}
	if s.Lost != nil {
		run.stands = true
		told[noticeLost] = fmt.Sprintf("not processed since %s: %s. A sink says where to continue, when one runs; or: %s",
			s.Lost.At.UTC().Format(time.RFC3339), s.Lost.Why, p.env.Command("recover", file.name))
	}
	if err := p.decided.gapOf(topic, s.Run.Number); err != nil {
		told[noticeGap] = err.Error()
	}
	for _, kind := range []string{noticePaused, noticeGrowing, noticeOldFile, noticeOtherKey, noticeLogic, noticeLost, noticeGap} {
		if told[kind] != "" {
			p.notices.Raise(file.name, kind, told[kind])
		} else {
			p.notices.Clear(file.name, kind)
		}
	}
	run.generation = s.Live
	run.epoch, _ = s.Epoch(f.rawTopicID)
	run.matters, run.decided = matters(s, file), s
	run.position = topics.Position{RawTopicID: f.rawTopicID, Run: s.Run.Number, Generation: s.Next() - 1, Epoch: run.epoch}
	run.metadata = run.position.Metadata()
	p.metrics.generation.WithLabelValues(file.name).Set(float64(run.generation))
	p.metrics.epoch.WithLabelValues(file.name).Set(float64(run.epoch))
	return &run
}

// logicOf is the stream by the logic that is live. Where that is not the file's, or cannot be run, it notes so in told.
func (p *Processor) logicOf(file *stream, s *control.Stream, f *facts, told map[string]string) stream {
	run := *file
	live := s.Generation(s.Live)
	switch {
	case live.Logic == f.logic:
	case f.conflicts(s) && !s.Knows(f.logic) && !f.kept(s):
		run.stands = true
		told[noticeOtherKey] = (&KeyError{file.name, file.file.Sink.Table}).Error() + "; it is not processed. Build another line of it beside: " +
			p.env.Command("replay", file.name, "--shadow") + "; or give it another sink.table, then: " + p.env.Command("replay", file.name)
	default:
		old, err := p.liveLogic(file, live)
		if err != nil {
			run.stands = true
			told[noticeLogic] = err.Error() + "; it is not processed. Start this process with the file of generation " + fmt.Sprint(s.Live)
			break
		}
		run = *old
		told[noticeOldFile] = p.oldFile(file.name, s, f)
	}
	return run
}

// oldFile says what the logic of a file is that is not live.
func (p *Processor) oldFile(stream string, s *control.Stream, f *facts) string {
	l := s.LineOf(f.logic)
	switch {
	case f.line || l == nil && s.LiveNumber() == control.BaseLine:
		return fmt.Sprintf("the file has an older logic of the stream: generation %d is live, and continues. If the file's logic is the right "+
			"one: %s", s.Live, p.env.Command("replay", stream))
	case s.LiveNumber() != control.BaseLine:
		return "" // this line has logic of its own
	case l.State == control.LineMaking || l.State == control.LineBuilding:
		return fmt.Sprintf("the file has the logic of line %d, which is built beside the live one: generation %d continues in the table that is read. "+
			"Once it is built: %s, then %s", l.Number, s.Live, p.env.Command("replay diff", stream), p.env.Command("replay swap", stream))
	case l.State == control.LineOld:
		return fmt.Sprintf("the file has the logic of line %d, which was live before: generation %d of this one is live, and continues. If the file's logic is "+
			"the right one: %s", l.Number, s.Live, p.env.Command("replay swap", stream))
	default:
		return fmt.Sprintf("the file has the logic of line %d, which is %s: generation %d is live, and continues. If the file's logic is the right one: %s",
			l.Number, l.State, s.Live, p.env.Command("replay", stream, "--shadow"))
	}
}

func (p *Processor) pausedText(stream string, pause control.Pause) string {
	text := "paused since " + pause.At.UTC().Format(time.RFC3339)
	if pause.By != "" {
		text += " by " + pause.By
	}
	if pause.Why != "" {
		text += ": " + pause.Why
	}
	return text + "; `" + p.env.Command("resume", stream) + "` lets it continue"
}

// liveLogic compiles a generation that is not of the file's logic.
func (p *Processor) liveLogic(file *stream, live *control.Generation) (*stream, error) {
	d := p.decided
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.compiled[file.name]; s != nil && d.texts[file.name] == live.Definition {
		return s, nil
	}
	defined, err := file.file.Defined(live.Definition)
	if err != nil {
		return nil, err
	}
	s, err := newStream(p.pipeline, defined, p.metrics)
	if err != nil {
		return nil, fmt.Errorf("the logic that is live: %w", err)
	}
	d.compiled[file.name], d.texts[file.name] = s, live.Definition
	return s, nil
}
