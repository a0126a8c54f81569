package file

import (
	"strconv"
	"strings"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/pipeline"
)

func (d *decoder) errors(l *list[errorFile]) []pipeline.ErrorRule {
	var rules []pipeline.ErrorRule
	for i := range l.items {
		f := &l.items[i].v
		rule := pipeline.ErrorRule{When: f.When.s, Do: f.Do.s, For: f.For.d}
		for j := range f.Status.list {
			if s := &f.Status.list[j]; s.ok {
				rule.Statuses = append(rule.Statuses, d.statuses(s))
			}
		}
		if f.When.ok {
			if _, err := expression.Compile(f.When.s); err != nil {
				d.expressionProblem(&f.When, err)
			}
		}
		if !f.Status.set && !f.When.set {
			d.reportf(l.items[i].place, "set status, when, or both", "the rule holds for every answer")
		}
		if f.For.set && f.Do.s != "wait" {
			d.reportf(f.For.place, "", "for says how long to wait, and do is %s", f.Do.s)
		}
		rules = append(rules, rule)
	}
	return rules
}

// statuses reads 404, or 4xx.
func (d *decoder) statuses(t *text) pipeline.StatusRange {
	if class, ok := strings.CutSuffix(strings.ToLower(t.s), "xx"); ok && len(class) == 1 && class >= "2" && class <= "5" {
		n := int(class[0]-'0') * 100
		return pipeline.StatusRange{From: n, To: n + 99}
	}
	n, err := strconv.Atoi(t.s)
	if err != nil || n < 200 || n > 599 {
		d.reportf(t.place, "write it as in 404 or 5xx", "%s is no HTTP status that an answer may have", shown(t.place))
	}
	return pipeline.StatusRange{From: n, To: n}
}
