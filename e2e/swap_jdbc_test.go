//go:build integration && jdbc

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestSwapReadByJDBC swaps as TestSwap does while a Java program reads, in nine ways through three pools of HikariCP:
// with statements that the driver fills in, that the server prepares and the driver keeps, and with cursors of the
// server.
func TestSwapReadByJDBC(t *testing.T) {
	classes := jars(t)
	s := newSwapping(t, newShadowed(t, seed(t), testservers.Kafka(t), testservers.MySQL(t)))
	s.begin()
	end := s.readByJava(classes, "ordered")
	s.thrice()
	ways := 0
	for _, line := range end() {
		var way string
		var reads, turns, stall int
		if n, _ := fmt.Sscanf(line, "reads %s %d %d %d", &way, &reads, &turns, &stall); n != 4 {
			t.Error(line)
			continue
		}
		t.Logf("%s: %d reads saw another line %d times; the longest took %d ms", way, reads, turns, stall)
		if ways++; turns < 3 {
			t.Errorf("%s: %d reads saw another line %d times, want 3", way, reads, turns)
		}
	}
	if ways != 9 {
		t.Errorf("the program read in %d ways, want 9", ways)
	}
	s.end()
}

// artifacts are what the program needs beside a JDK, as Maven names it.
var artifacts = []string{"com.mysql:mysql-connector-j:9.7.0", "com.zaxxer:HikariCP:6.3.3", "org.slf4j:slf4j-api:2.0.17"}

// jars returns the class path. What was not fetched before is fetched by Maven.
func jars(t *testing.T) (classes string) {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	dir = filepath.Join(dir, "millrace-jdbc")
	var all []string
	for _, artifact := range artifacts {
		_, file, _ := strings.Cut(artifact, ":")
		file = filepath.Join(dir, strings.ReplaceAll(file, ":", "-")+".jar")
		if all = append(all, file); there(file) {
			continue
		}
		out, err := exec.CommandContext(t.Context(), "mvn", "-B", "-q", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy",
			"-Dartifact="+artifact, "-DoutputDirectory="+dir).CombinedOutput()
		if err != nil || !there(file) {
			t.Fatalf("fetch %s: %v\n%s", artifact, err, out)
		}
	}
	return strings.Join(all, string(os.PathListSeparator))
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readByJava starts the program on the table of a stream. What it returns has it end, and gives what it wrote.
func (s *swapping) readByJava(classes, stream string) (end func() (lines []string)) {
	t := s.w.t
	t.Helper()
	dsn, err := mysql.ParseDSN(s.w.dsn)
	if err != nil {
		t.Fatal(err)
	}
	var anchors []string
	for rev := range s.anchors[stream] {
		anchors = append(anchors, fmt.Sprint(rev))
	}
	cmd := exec.CommandContext(t.Context(), "java", "-cp", classes, filepath.Join("jdbc", "Pool.java"),
		"jdbc:mysql://"+dsn.Addr+"/"+dsn.DBName, dsn.User, dsn.Passwd, stream, strings.Join(anchors, ","))
	var out, log testkit.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	reads := func() error {
		if !strings.Contains(out.String(), "reading\n") {
			return fmt.Errorf("the program does not read yet: %s%s", out.String(), log.String())
		}
		return nil
	}
	if err := testkit.Until(t.Context(), 2*time.Minute, reads); err != nil {
		t.Fatal(err)
	}
	return func() []string {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("java: %v\n%s", err, log.String())
		}
		return strings.Split(strings.TrimSpace(strings.Replace(out.String(), "reading\n", "", 1)), "\n")
	}
}
