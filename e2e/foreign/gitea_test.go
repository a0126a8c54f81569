//go:build integration

package foreign_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace-io/millrace/internal/testkit"
)

const giteaVersion = "v1.26.0"

// installGitea returns the path of its binary and the directory of its templates. If it was not built before, it builds
// it from the Go module proxy where MILLRACE_BUILD_FORGE is set, and skips the test elsewhere.
func installGitea(t *testing.T) (binary, static string) {
	t.Helper()
	compiler, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go")
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git")
	}
	dir := cache(t, "gitea-"+giteaVersion)
	binary, module := filepath.Join(dir, "gitea"), filepath.Join(dir, "module")
	if there(binary) && there(filepath.Join(module, "templates")) {
		return binary, module
	}
	if os.Getenv("MILLRACE_BUILD_FORGE") == "" {
		t.Skip("Gitea is not there; its build takes minutes of all cores: make forge")
	}
	install(t, dir, nil, "sh", "-c", "test -f go.mod || printf 'module foreign\\n\\ngo 1.26\\n' >go.mod; "+
		compiler+" mod download -json code.gitea.io/gitea@"+giteaVersion+" >module.json")
	var got struct{ Dir string }
	if err := json.Unmarshal([]byte(readFile(t, filepath.Join(dir, "module.json"))), &got); err != nil {
		t.Fatal(err)
	}
	// Its go.mod replaces modules, which only that of the main module may do.
	replaces := readFile(t, filepath.Join(got.Dir, "go.mod"))
	replaces = regexp.MustCompile(`(?m)^tool .*`).ReplaceAllString(strings.Replace(replaces, "module code.gitea.io/gitea", "module foreign", 1), "")
	for name, text := range map[string]string{
		"go.mod": replaces + "\nrequire code.gitea.io/gitea " + giteaVersion + "\n",
		"go.sum": readFile(t, filepath.Join(got.Dir, "go.sum")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install(t, dir, []string{"GOFLAGS=-mod=mod", "CGO_ENABLED=1"}, compiler, "build", "-trimpath", "-tags", "sqlite sqlite_unlock_notify", "-o", "gitea", "code.gitea.io/gitea")
	if err := os.CopyFS(module, os.DirFS(got.Dir)); err != nil {
		t.Fatal(err)
	}
	return binary, module
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// forge is a Gitea with a user.
type forge struct {
	api   string
	token string
	at    string // its database
}

func newForge(t *testing.T) *forge {
	t.Helper()
	binary, static := installGitea(t)
	dir, port := t.TempDir(), freePort(t)
	f := &forge{api: "http://127.0.0.1:" + port + "/api/v1", at: filepath.Join(dir, "gitea.db")}
	config := filepath.Join(dir, "app.ini")
	if err := os.WriteFile(config, []byte(`RUN_MODE = prod
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = `+port+`
ROOT_URL = http://127.0.0.1:`+port+`/
DISABLE_SSH = true
OFFLINE_MODE = true
STATIC_ROOT_PATH = `+static+`
[database]
DB_TYPE = sqlite3
PATH = `+f.at+`
[security]
INSTALL_LOCK = true
SECRET_KEY = hush-hush
[repository]
ROOT = `+filepath.Join(dir, "repos")+`
[indexer]
ISSUE_INDEXER_TYPE = db
[log]
LEVEL = warn
`), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"GITEA_WORK_DIR=" + dir, "HOME=" + dir}
	command := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"--config", config}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("gitea %v: %v %s", args, err, lastOf(string(out)))
		}
		return string(out)
	}
	command("migrate")
	command("admin", "user", "create", "--username", "keeper", "--password", "hush-hush-123", "--email", "keeper@example.com", "--admin", "--must-change-password=false")
	out := command("admin", "user", "generate-access-token", "--username", "keeper", "--token-name", "millrace", "--scopes", "all", "--raw")
	// lines of the log stand before or after it
	if f.token = regexp.MustCompile(`(?m)^[0-9a-f]{40}$`).FindString(out); f.token == "" {
		t.Fatalf("no token: %s", out)
	}
	serve(t, dir, env, "http://127.0.0.1:"+port+"/api/healthz", binary, "--config", config, "web")
	return f
}

// do calls the API.
func (f *forge) do(t *testing.T, method, path, body string) (answer struct{ Number int }) {
	t.Helper()
	text := must(t, method, f.api+path, map[string]string{"Authorization": "Bearer " + f.token}, body)
	if strings.HasPrefix(text, "{") {
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
	}
	return answer
}

// add opens an issue and returns its number.
func (f *forge) add(t *testing.T, repository string, i int) int {
	t.Helper()
	return f.do(t, http.MethodPost, "/repos/keeper/"+repository+"/issues", fmt.Sprintf(`{"title": "Issue %d – ü", "body": "text %[1]d\nof two lines"}`, i)).Number
}

// TestGitForge: repositories and issues, of which some are revised, closed and deleted, and a repository goes with all
// of its issues.
func TestGitForge(t *testing.T) {
	f := newForge(t)
	numbers := map[string][]int{}
	repositories := []string{"shop", "site", "tools"}
	for _, name := range repositories {
		testkit.Pause(t.Context(), time.Second) // its times are seconds, and init looks for ones that differ
		f.do(t, http.MethodPost, "/user/repos", `{"name": "`+name+`", "description": "what the `+name+` needs"}`)
		for i := range 24 {
			numbers[name] = append(numbers[name], f.add(t, name, i))
		}
	}

	u := newUser(t, "FORGE_TOKEN="+f.token)
	for stream, url := range map[string]string{"issues": f.api + "/repos/issues/search?state=all", "repos": f.api + "/user/repos?limit=2"} {
		file := stream + ".yaml"
		u.millrace("init", url, "--bearer", "${FORGE_TOKEN}", "-o", file, "--pipeline", stream)
		if text := u.read(file); strings.Contains(text, f.token) {
			t.Errorf("the file has the token:\n%s", text)
		}
		if out := u.millrace("preview", file, stream); !strings.Contains(out, "0 without a row, 0 dead letters") {
			t.Errorf("preview:\n%s", out)
		}
		// a pass asks for what has changed alone, if init has seen what since leaves out
		const incremental = "# deletes: {by: complete_read, every: 24h}"
		if strings.Contains(u.read(file), incremental) {
			u.change(file, incremental, "deletes: {by: complete_read, at_most: 50%, every: 1s}")
		} else {
			u.change(file, "# deletes: complete_read", "deletes: {by: complete_read, at_most: 50%}")
		}
		u.millrace("run", file, "--once", "--listen", "", "--log-level", "warn")
		u.change(file, "every: 5m", "every: 500ms")
		u.change(file, "{requests: 5, per: 1s}", "{requests: 100, per: 1s}")
	}
	same(t, "issues after one pass", f.issues(t), issuesOf(u))
	same(t, "repositories after one pass", f.repositories(t), repositoriesOf(u))

	var stops []func()
	for _, file := range []string{"issues.yaml", "repos.yaml"} {
		stops = append(stops, u.run("run", file, "--listen", ""))
	}
	for i := range 24 {
		for _, name := range repositories[:2] {
			issue := fmt.Sprintf("/repos/keeper/%s/issues/%d", name, numbers[name][i])
			switch i % 4 {
			case 0:
				f.do(t, http.MethodPatch, issue, fmt.Sprintf(`{"title": "Revised %d", "body": ""}`, i))
			case 1:
				f.do(t, http.MethodPatch, issue, `{"state": "closed"}`)
			case 2:
				f.do(t, http.MethodDelete, issue, "")
			default:
				f.add(t, name, 1000+i)
			}
		}
		f.do(t, http.MethodPatch, "/repos/keeper/site", fmt.Sprintf(`{"description": "revision %d"}`, i))
	}
	f.do(t, http.MethodDelete, "/repos/keeper/tools", "")
	f.do(t, http.MethodPost, "/user/repos", `{"name": "late", "private": true}`)
	f.add(t, "late", 2000)
	for _, when := range []string{"after 48 revisions, 36 deletions, 13 additions, and a repository that went", "after all has stopped"} {
		same(t, "issues "+when, f.issues(t), issuesOf(u))
		same(t, "repositories "+when, f.repositories(t), repositoriesOf(u))
		for _, stop := range stops {
			stop()
		}
		stops = nil
	}
}

func (f *forge) issues(t *testing.T) func() []string {
	return func() []string {
		return query(t, f.at, "SELECT id, repo_id, `index`, name, content, CASE is_closed WHEN 1 THEN 'closed' ELSE 'open' END, num_comments, datetime(created_unix, 'unixepoch'), datetime(updated_unix, 'unixepoch') FROM issue")
	}
}

func issuesOf(u *user) func() []string {
	return func() []string {
		return u.table("issues", "SELECT id, repository_id, number, title, body, state, comments, substr(created_at, 1, 19), substr(updated_at, 1, 19) FROM issues")
	}
}

func (f *forge) repositories(t *testing.T) func() []string {
	return func() []string {
		return query(t, f.at, "SELECT id, name, description, is_private, num_issues - num_closed_issues, datetime(updated_unix, 'unixepoch') FROM repository")
	}
}

func repositoriesOf(u *user) func() []string {
	return func() []string {
		return u.table("repos", "SELECT id, name, description, private, open_issues_count, substr(updated_at, 1, 19) FROM repos")
	}
}
