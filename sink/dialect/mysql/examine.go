package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
)

const (
	leastPacket = 4 << 20
	mostSkew    = 5 * time.Second
)

// Examine is that of [dialect.Examiner].
func (*Dialect) Examine(ctx context.Context, db *sql.DB) ([]dialect.Finding, error) {
	var version, mode, charset string
	var packet int64
	var now time.Time
	var text string
	before := time.Now()
	err := db.QueryRowContext(ctx, "SELECT VERSION(), @@GLOBAL.sql_mode, @@max_allowed_packet, @@character_set_database, UTC_TIMESTAMP(6)").
		Scan(&version, &mode, &packet, &charset, &text)
	if err != nil {
		return nil, err
	}
	if now, err = time.Parse("2006-01-02 15:04:05.999999", text); err != nil {
		return nil, fmt.Errorf("the server's time %q: %w", text, err)
	}
	out := []dialect.Finding{{What: "version", Is: version}}
	strict := dialect.Finding{What: "sql_mode", Is: mode}
	if !strings.Contains(mode, "STRICT_TRANS_TABLES") && !strings.Contains(mode, "STRICT_ALL_TABLES") {
		strict.Problem, strict.Warning = "the server is not strict: other clients' values are cut in silence; millrace's own sessions are strict", true
		strict.Fix = "SET PERSIST sql_mode = CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES')"
	}
	size := dialect.Finding{What: "max_allowed_packet", Is: fmt.Sprintf("%d bytes", packet)}
	if packet < leastPacket {
		size.Problem, size.Warning = "statements are small, and so are batches; a row larger than this is a dead letter", true
		size.Fix = "SET PERSIST max_allowed_packet = 67108864"
	}
	set := dialect.Finding{What: "character set", Is: charset}
	if charset != "utf8mb4" {
		set.Problem, set.Warning = "tables that others make hold no text outside of "+charset+"; millrace makes its own with utf8mb4", true
		set.Fix = "ALTER DATABASE … CHARACTER SET utf8mb4"
	}
	clock := dialect.Finding{What: "clock", Is: now.Format(time.RFC3339)}
	if skew := now.Sub(before).Abs(); skew > mostSkew {
		clock.Problem, clock.Warning = fmt.Sprintf("it differs from ours by %v", skew.Round(time.Second)), true
		clock.Fix = "let both follow NTP"
	}
	rights, err := grants(ctx, db)
	return append(out, strict, size, set, clock, rights), err
}

// needed are the rights that the sink uses.
var needed = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE"}

// grants looks which of the needed rights some grant gives; on what, is the server's to say when they are used.
func grants(ctx context.Context, db *sql.DB) (dialect.Finding, error) {
	f := dialect.Finding{What: "rights"}
	given, err := allGrants(ctx, db)
	if err != nil {
		return f, err
	}
	var lacks []string
	for _, right := range needed {
		if !strings.Contains(given, "ALL PRIVILEGES") && !strings.Contains(given, right) && !strings.Contains(given, "GRANT `") {
			lacks = append(lacks, right)
		}
	}
	f.Is = strings.Join(needed, ", ")
	if len(lacks) > 0 {
		f.Problem = "the user lacks " + strings.Join(lacks, ", ")
		f.Fix = "GRANT " + strings.Join(lacks, ", ") + " ON schema.* TO user"
	}
	return f, nil
}

// allGrants are the user's grants, in upper case.
func allGrants(ctx context.Context, db *sql.DB) (string, error) {
	all, err := list(ctx, db, "SHOW GRANTS")
	return strings.ToUpper(strings.Join(all, "\n")), err
}
