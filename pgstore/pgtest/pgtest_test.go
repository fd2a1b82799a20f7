package pgtest

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"ringhook/test/wait"
)

// panics is the variable that makes the test a process of its own which starts a server and panics.
const panics = "RINGHOOK_PGTEST_PANICS"

// TestServerEndsWithTests checks that a server ends, and its folder is removed, if the tests panic.
func TestServerEndsWithTests(t *testing.T) {
	if os.Getenv(panics) != "" {
		s, err := Start()
		if err != nil || s == nil {
			t.Fatal(s, err)
		}
		fmt.Printf("\nserver %d %s\n", s.server.Process.Pid, s.folder)
		panic("the end of the tests")
	}
	if bin() == "" {
		t.Skip("PostgreSQL is not installed: install Debian's package postgresql to run this test")
	}
	cmd := exec.CommandContext(wait.Context(t), os.Args[0], "-test.run=^TestServerEndsWithTests$")
	cmd.Env = append(os.Environ(), panics+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var folder string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "server ") {
			_, _ = fmt.Sscanf(lines.Text(), "server %d %s", &pid, &folder)
		}
	}
	if err := cmd.Wait(); err == nil || folder == "" {
		t.Fatalf("no server was started, or the tests did not panic: %v", err)
	}
	for _, path := range []string{folder, fmt.Sprintf("/proc/%d/root", pid)} {
		wait.Until(t, func() bool {
			_, err := os.Lstat(path)
			return errors.Is(err, fs.ErrNotExist)
		}, "%s is left", path)
	}
}

// TestStandby checks that commits wait for a standby, and that it has them when it takes over.
func TestStandby(t *testing.T) {
	primary, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	dsn := primary.Database(t)
	t.Cleanup(primary.Stop)
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	ctx := wait.Context(t)
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "create table t (n integer); insert into t values (7)"); err != nil {
		t.Fatal(err)
	}
	primary.Kill()
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(ctx, standby.DSN(conn.Config().Database))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(ctx)
	var n int
	if err := other.QueryRow(ctx, "update t set n = n + 1 returning n").Scan(&n); err != nil || n != 8 {
		t.Errorf("the standby has %d: %v", n, err)
	}
}
