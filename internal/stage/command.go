package stage

import "strings"

// Command is a command of the tool for a stream of this pipeline, as a shell takes it: "millrace replay shop.yaml
// orders".
func (e Env) Command(verb, stream string, flags ...string) string {
	return strings.Join(append([]string{"millrace", verb, e.file(), stream}, flags...), " ")
}

// Start is the command that starts a stage, or, where the servers are embedded, all of them.
func (e Env) Start(stage string, embedded bool) string {
	if embedded {
		stage = "run"
	}
	return "millrace " + stage + " " + e.file()
}

// file is the pipeline file as a shell takes it.
func (e Env) file() string {
	switch {
	case e.File == "":
		return "FILE"
	case strings.ContainsAny(e.File, " \t\n\"'`$&|;()<>*?[]{}!#~\\"):
		return "'" + strings.ReplaceAll(e.File, "'", `'\''`) + "'"
	}
	return e.File
}
