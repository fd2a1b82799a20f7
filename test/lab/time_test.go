//go:build e2e

package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Who wants the times of the dialplan says how many of each way, and may have them as JSON.
const (
	timesVariable = "RINGHOOK_BENCH"
	jsonVariable  = "RINGHOOK_BENCH_JSON"
)

// ways are how a dialplan can learn who is calling, in the order in which
// bench goes through them for each caller. The first is what measuring takes.
var ways = []struct{ name, says string }{
	{"nothing", "the clock read twice"},
	{"agi", "`AGI()` to ringhook, which asks the CRM"},
	{"cached", "`AGI()` to ringhook, which asked a moment ago"},
	{"curl", "`CURL()` to the CRM, and three `Set()`"},
	{"perl", "`AGI()` of a script in Perl, which asks the CRM"},
	{"shell", "`AGI()` of a script in sh, which sets constants"},
}

// benchExtensions notes what each way took, by Asterisk's own clock, in microseconds.
const benchExtensions = `
[bench]
exten => _X.,1,Answer()
 same => n,Set(n=0)
 same => n(next),Set(n=$[${n}+1])
 same => n,Set(number=+7916$[1000000+${n}])
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,Log(NOTICE,took nothing ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,AGI(agi://127.0.0.1:4573/lookup,callerid=${number})
 same => n,Log(NOTICE,took agi ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(CALLERID(name)=)
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,AGI(agi://127.0.0.1:4573/lookup,callerid=${number})
 same => n,Log(NOTICE,took cached ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(CALLERID(name)=)
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,Set(answer=${CURL(http://127.0.0.1:8080/who?phone=${URIENCODE(${number})})})
 same => n,Set(CALLERID(name)=${URIDECODE(${CUT(answer,&,1):19})})
 same => n,Set(QUEUE_PRIO=${CUT(answer,&,2):11})
 same => n,Set(__call_info=${URIDECODE(${CUT(answer,&,3):10})})
 same => n,Log(NOTICE,took curl ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(CALLERID(name)=)
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,AGI(/mnt/crm.pl,${number})
 same => n,Log(NOTICE,took perl ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(CALLERID(name)=)
 same => n,Set(a=${STRFTIME(,,%s%6q)})
 same => n,AGI(/mnt/constants.sh)
 same => n,Log(NOTICE,took shell ${a} ${STRFTIME(,,%s%6q)} ${CALLERID(name)})
 same => n,Set(CALLERID(name)=)
 same => n,GotoIf($[${n} < ${EXTEN}]?next)
 same => n,Hangup()
`

// crmScript does in a process for each call what ringhook does.
const crmScript = `#!/usr/bin/perl
use strict;
use IO::Socket::INET;
$| = 1;
while (<STDIN>) { last if /^\s*$/ }
(my $phone = $ARGV[0]) =~ s/\+/%2B/;
my $crm = IO::Socket::INET->new(PeerAddr => '127.0.0.1:8080') or exit 1;
print $crm "GET /who?phone=$phone HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n";
my (undef, $body) = split /\r?\n\r?\n/, join('', <$crm>), 2;
for (split /&/, $body) {
	my ($name, $value) = map { s/\+/ /gr =~ s/%(..)/chr hex $1/ger } split /=/, $_, 2;
	print "SET VARIABLE $name \"$value\"\n";
	<STDIN>;
}
`

const constantsScript = `#!/bin/sh
while read -r line && [ -n "$line" ]; do :; done
echo 'SET VARIABLE CALLERID(name) "Anna"'; read -r reply
echo 'SET VARIABLE QUEUE_PRIO "5"'; read -r reply
echo 'SET VARIABLE call_info "VIP"'; read -r reply
`

var tookLine = regexp.MustCompile(`took (\w+) (\d{16}) (\d{16}) (\w*)`)

// TestTimeInDialplan prints how long the same call stands in the dialplan while it
// is learnt who is calling, in each way, on both Asterisks.
func TestTimeInDialplan(t *testing.T) {
	if os.Getenv(timesVariable) == "" {
		t.Skipf("measures only where %s says how often", timesVariable)
	}
	n, err := strconv.Atoi(os.Getenv(timesVariable))
	if err != nil || n < 2 {
		t.Fatalf("%s is %q, and not a number of callers from 2 on", timesVariable, os.Getenv(timesVariable))
	}
	for _, suite := range suites {
		t.Run(suite, func(t *testing.T) {
			a := startAsterisk(t, suite, nil)
			for name, text := range map[string]string{"crm.pl": crmScript, "constants.sh": constantsScript} {
				if err := os.WriteFile(filepath.Join(a.folder, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			crm := &http.Server{Handler: known("CALLERID(name)", "Anna", "QUEUE_PRIO", "5", "call_info", "VIP")}
			listen, err := net.Listen("tcp", "127.0.0.1:8080")
			if err != nil {
				t.Fatal(err)
			}
			go crm.Serve(listen)
			t.Cleanup(func() { crm.Close() })
			s := newServer(t, 4573, 4580)
			s.start(t)
			t.Cleanup(s.stop)

			a.cli(t, fmt.Sprintf("channel originate Local/%d@bench/n application Wait 3600", n))
			var found [][]string
			eventually(t, "the last caller is known", func() bool {
				found = tookLine.FindAllStringSubmatch(a.log(0), -1)
				return len(found) >= n*len(ways)
			})
			printTimes(t, a.version, found, n)
		})
	}
}

// printTimes prints a table, the first caller left out: connections are made and
// programs read from the disk for that one.
func printTimes(t *testing.T, version string, found [][]string, n int) {
	took := map[string][]float64{}
	for _, f := range found {
		if f[1] != "nothing" && f[4] != "Anna" {
			t.Fatalf("%s knew no customer: %s", f[1], f[0])
		}
		from, err1 := strconv.ParseInt(f[2], 10, 64)
		to, err2 := strconv.ParseInt(f[3], 10, 64)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		took[f[1]] = append(took[f[1]], float64(to-from)/1000)
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%s, %d callers, milliseconds in the dialplan:\n\n| way | p50 | p99 | p50, of ringhook's |\n| --- | --- | --- | --- |\n", version, n-1)
	agi := slices.Sorted(slices.Values(took["agi"][1:]))
	for _, w := range ways {
		all := slices.Sorted(slices.Values(took[w.name][1:]))
		p50, p99 := all[len(all)/2], all[len(all)*99/100]
		of := p50 / agi[len(agi)/2]
		fmt.Fprintf(&table, "| %s | %.2f | %.2f | %.2f |\n", w.says, p50, p99, of)
		if os.Getenv(jsonVariable) != "" {
			line, err := json.Marshal(map[string]any{"asterisk": version, "way": w.name, "callers": n - 1, "p50_ms": p50, "p99_ms": p99, "of_ringhook": of})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println(string(line))
		}
	}
	if os.Getenv(jsonVariable) == "" {
		fmt.Println(table.String())
	}
}
