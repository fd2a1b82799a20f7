package board

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/control"
	"ringhook/desk/figures"
	"ringhook/dialplan"
	"ringhook/dialplan/kept"
	"ringhook/hooks"
	"ringhook/loglimit"
	"ringhook/store"
)

// newBoard returns a board with n calls that are kept, the frame of an administrator, and what closes its store.
func newBoard(t *testing.T, n int) (*Board, *Frame, func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := store.DefaultConfig()
	cfg.Folder, cfg.Synchronous, cfg.MaxSize = filepath.Join(t.TempDir(), "data"), "normal", 64<<20
	st, err := store.Open(cfg, log, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	closeStore := sync.OnceFunc(func() { st.Close() })
	t.Cleanup(closeStore)
	var last dialplan.Commit
	for i := range n {
		state, err := json.Marshal(&kept.Call{LinkedID: fmt.Sprintf("1.%d", i), Direction: "incoming", Began: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if last, err = st.Journal().Queue(t.Context(), dialplan.Record{Call: fmt.Sprintf("1.%d", i), State: state}); err != nil {
			t.Fatal(err)
		}
	}
	if n > 0 {
		if _, err := last.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := New(Settings{}, Parts{Store: st.Browse(), Log: log})
	logTo(t, b, io.Discard)
	v, _ := b.Viewer(control.Administrator("test"))
	return b, &Frame{Viewer: v, Tag: "en"}, closeStore
}

// logTo has the log lines that requests cause written to w.
func logTo(t *testing.T, b *Board, w io.Writer) {
	b.Limited = loglimit.New(slog.New(slog.NewTextHandler(w, nil)), time.Hour)
	t.Cleanup(b.Limited.Close)
}

// sheetOf returns the rows of a table of calls, without its header.
func sheetOf(t *testing.T, b *Board, f *Frame, most int) [][]string {
	t.Helper()
	w := httptest.NewRecorder()
	b.callsSheet(w, httptest.NewRequest("GET", "/desk/calls.csv", nil), f, most)
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(w.Body.String(), "\ufeff"))).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	return rows[1:]
}

// TestCallsSheet checks that a table has each call once, whatever the pages in which they are read, and says if there are
// more.
func TestCallsSheet(t *testing.T) {
	const n = 2*readAtOnce + 7
	b, f, _ := newBoard(t, n)
	seen := map[string]bool{}
	for _, row := range sheetOf(t, b, f, n) {
		seen[row[1]] = true
	}
	if len(seen) != n || seen[""] {
		t.Errorf("%d different calls, want %d", len(seen), n)
	}
	rows := sheetOf(t, b, f, n-1)
	if last := rows[len(rows)-1]; len(rows) != n || last[0] != f.T("cut_csv")+fmt.Sprintf(" %d", n-1) || last[1] != "" {
		t.Errorf("cut: %d rows, the last is %q", len(rows), last)
	}
}

// callLink finds the links to calls, olderLink that to the next page, sheetLink that to the table for a spreadsheet.
var (
	callLink  = regexp.MustCompile(`href="/desk/calls/([^"]+)"`)
	olderLink = regexp.MustCompile(`href="(/desk/calls\?[^"]+)"`)
	sheetLink = regexp.MustCompile(`href="(/desk/calls\.csv[^"]*)"`)
)

// linked returns the URL of the first link of a kind, empty for none.
func linked(page string, link *regexp.Regexp) string {
	if m := link.FindStringSubmatch(page); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

// pageOf returns a page of the list of calls.
func pageOf(b *Board, f *Frame, url string) string {
	w := httptest.NewRecorder()
	b.callsPage(w, httptest.NewRequest("GET", url, nil), f)
	return w.Body.String()
}

// TestCallsPages checks that the pages of the list have each call once, however many have their last record at one moment.
func TestCallsPages(t *testing.T) {
	const n = 3*pageRows + 7
	b, f, _ := newBoard(t, n)
	seen := map[string]int{}
	pages := 0
	for url := "/desk/calls?outcome=going&q=1."; url != "" && pages <= n; pages++ {
		page := pageOf(b, f, url)
		for _, m := range callLink.FindAllStringSubmatch(page, -1) {
			seen[m[1]]++
		}
		url = linked(page, olderLink)
	}
	for id, times := range seen {
		if times != 1 {
			t.Errorf("%s is there %d times", id, times)
		}
	}
	if len(seen) != n || pages != n/pageRows+1 {
		t.Errorf("%d calls on %d pages, want %d", len(seen), pages, n)
	}
}

// TestSheetOfFilter checks that the table for a spreadsheet has the calls of the page's filter.
func TestSheetOfFilter(t *testing.T) {
	b, f, _ := newBoard(t, 12)
	url := linked(pageOf(b, f, "/desk/calls?outcome=going&q=1.7"), sheetLink)
	w := httptest.NewRecorder()
	b.callsCSV(w, httptest.NewRequest("GET", url, nil), f)
	if text := w.Body.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "1.7") {
		t.Errorf("%s: %s", url, text)
	}
}

// closing calls a function before each write.
type closing struct {
	*httptest.ResponseRecorder
	first func()
}

func (c *closing) Write(p []byte) (int, error) {
	c.first()
	return c.ResponseRecorder.Write(p)
}

// TestFailuresAreCounted checks that a failing store does not fill the log, however many pages are asked for.
func TestFailuresAreCounted(t *testing.T) {
	b, f, closeStore := newBoard(t, 1)
	var log strings.Builder
	logTo(t, b, &log)
	closeStore()
	for range 50 {
		for _, page := range []Page{(*Board).callsPage, (*Board).outboxPage} {
			w := httptest.NewRecorder()
			if page(b, w, httptest.NewRequest("GET", "/desk/calls", nil), f); w.Code != http.StatusServiceUnavailable {
				t.Fatalf("status %d", w.Code)
			}
		}
	}
	if lines := log.String(); strings.Count(lines, "\n") != 2 || !strings.Contains(lines, "page=calls") || !strings.Contains(lines, "page=outbox") {
		t.Errorf("log: %s", lines)
	}
}

// TestSheetBreaksOff checks that the browser and the log show that a table is not all, if the store fails while it is
// written.
func TestSheetBreaksOff(t *testing.T) {
	b, f, closeStore := newBoard(t, 1)
	var log strings.Builder
	logTo(t, b, &log)
	defer func() {
		v := recover()
		if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("the answer ends with %v", v)
		}
		if !strings.Contains(log.String(), "the download is not complete") {
			t.Errorf("log: %s", log.String())
		}
	}()
	b.callsSheet(&closing{httptest.NewRecorder(), closeStore}, httptest.NewRequest("GET", "/desk/calls.csv", nil), f, sheetRows)
}

// callIn returns the state of a call of linkedid 1.1 that was in a queue of an Asterisk of its own, and its identity.
func callIn(queue string) (*kept.Call, dialplan.Identity) {
	id := dialplan.Identity{Asterisk: "pbx" + queue, LinkedID: "1.1"}
	return &kept.Call{LinkedID: "1.1", Asterisk: id.Asterisk, Began: time.Now(), Known: map[string]any{"callerid": "caller " + queue},
		Visits: []kept.Visit{{Marker: kept.Marker{UniqueID: "1.1", N: 1, What: queue}, Began: time.Now()}}}, id
}

// keep stores n events of a call of linkedid 1.1, and its state unless it is nil.
func keep(t *testing.T, b *Board, c *kept.Call, id dialplan.Identity, n int) {
	t.Helper()
	r := dialplan.Record{Call: id.Key()}
	if c != nil {
		var err error
		if r.State, err = json.Marshal(c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		ev := hooks.Event{ID: fmt.Sprint("msg_", id.Asterisk, i), Name: "queue-dial", LinkedID: "1.1", Time: time.Now(),
			Params: map[string]any{"queue_id": strings.TrimPrefix(id.Asterisk, "pbx"), "call_uuid": id.UUID()}}
		r.Events = append(r.Events, dialplan.Accepted{Event: ev, Hooks: []hooks.Route{{Hook: "crm", Key: id.UUID(), Hold: time.Minute}}})
	}
	commit, err := b.Store.CallReader.(*store.Store).Journal().Queue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := commit.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// ofSales returns a supervisor of the queue sales.
func ofSales(b *Board) Viewer {
	v, _ := b.Viewer(control.Actor{Name: "agent 9", Role: dialplan.RoleSupervisor, Queues: []string{"sales"}})
	return v
}

// TestSharedLinkedID checks that a supervisor sees nothing of another Asterisk's call with the same linkedid, whichever of
// the two is the latest, and that an administrator's page says that there are two.
func TestSharedLinkedID(t *testing.T) {
	for _, queues := range [][]string{{"sales", "support"}, {"support", "sales"}} {
		b, admin, _ := newBoard(t, 0)
		for _, queue := range queues {
			c, id := callIn(queue)
			keep(t, b, c, id, 1)
		}
		v := ofSales(b)
		sales, idSales := callIn("sales")
		support, idSupport := callIn("support")
		view, err := b.trace(&v, &Frame{Viewer: v, Tag: "en"}, "1.1")
		if err != nil || view.Row == nil || view.Row.Caller != "caller sales" {
			t.Fatalf("%v: %+v, %v", queues, view, err)
		}
		shown := fmt.Sprint(view.Facts, view.Items)
		if !strings.Contains(shown, "queue_id=sales") || strings.Contains(shown, "support") || strings.Contains(shown, "call_uuid") || view.Shared {
			t.Errorf("%v: shared: %t, %s", queues, view.Shared, shown)
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/desk/calls/1.1", nil)
		r.SetPathValue("linkedid", "1.1")
		b.callPage(w, r, admin)
		for _, want := range []string{admin.T("several_calls"), "call_uuid=" + idSales.UUID(), "call_uuid=" + idSupport.UUID()} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%v: the page of an administrator does not have %s", queues, want)
			}
		}
		if b.Sees(&v, "1.1") || !b.Sees(&admin.Viewer, "1.1") {
			t.Errorf("%v: the linkedid alone names a call of another queue", queues)
		}
		if err := b.newDecisions(&v, &popsView{Call: "1.1"}).read(time.Time{}); !errors.Is(err, errNoCall) {
			t.Errorf("%v: pops of the linkedid: %v", queues, err)
		}

		l := &Look{board: b, set: &Settings{PBX: true}, open: []*figures.Open{{Call: *sales}, {Call: *support}}, live: control.Live{Calls: []control.Call{{Server: "east", LinkedID: "1.1", State: "up", Caller: "caller support"}}}}
		l.index()
		if list := l.talks(&v); len(list) != 0 {
			t.Errorf("live calls: %+v", list)
		}
		for _, c := range l.callsOf(&v, &control.AgentView{Calls: []string{"1.1"}}) {
			if c.Call != "" || c.Caller != "" {
				t.Errorf("call of an agent: %+v", c)
			}
		}
	}
}

// TestSharedByEvents checks that a linkedid of which another call's state is not kept, only one of many events, does not
// name the call that a supervisor sees.
func TestSharedByEvents(t *testing.T) {
	b, admin, _ := newBoard(t, 0)
	_, id := callIn("support")
	keep(t, b, nil, id, 1)
	c, id := callIn("sales")
	keep(t, b, c, id, 2*maxDeliveries)
	v := ofSales(b)
	if seen, err := b.call(&v, "1.1"); err != nil || seen.whole || len(seen.calls) != 1 || b.Sees(&v, "1.1") {
		t.Errorf("a supervisor: %+v, %v", seen, err)
	}
	if err := b.newDecisions(&v, &popsView{Call: "1.1"}).read(time.Time{}); !errors.Is(err, errNoCall) {
		t.Errorf("pops of the linkedid: %v", err)
	}
	if view, err := b.trace(&admin.Viewer, admin, "1.1"); err != nil || !view.Shared {
		t.Errorf("an administrator: %+v, %v", view, err)
	}
}

// TestLiveCallsOfOneLinkedID checks that a supervisor may change a live call only if every live call of its linkedid is one
// that the supervisor sees.
func TestLiveCallsOfOneLinkedID(t *testing.T) {
	talks := func(server string) control.Call { return control.Call{Server: server, LinkedID: "1.1"} }
	waits := func(server, queue string) control.Call {
		return control.Call{Server: server, LinkedID: "1.1", Queue: queue}
	}
	ended, id := callIn("sales")
	ended.Ended = time.Now()
	for name, c := range map[string]struct {
		stored []string
		ended  bool
		live   []control.Call
		want   bool
	}{
		"waits in a queue of the viewer":  {live: []control.Call{waits("east", "sales")}, want: true},
		"waits in another":                {live: []control.Call{waits("east", "support")}},
		"not reported":                    {live: []control.Call{talks("east")}},
		"reported":                        {stored: []string{"sales"}, live: []control.Call{talks("east")}, want: true},
		"reported, has moved to another":  {stored: []string{"sales"}, live: []control.Call{waits("east", "support")}, want: true},
		"reported, and one that is not":   {stored: []string{"sales"}, live: []control.Call{talks("east"), talks("west")}},
		"one waits, the other is unknown": {live: []control.Call{waits("east", "sales"), talks("west")}},
		"one of them is reported":         {stored: []string{"sales"}, live: []control.Call{waits("east", "sales"), talks("west")}},
		"of another queue":                {stored: []string{"sales", "support"}, live: []control.Call{talks("east"), talks("west")}},
		"reported, has ended":             {stored: []string{"sales"}, ended: true, live: []control.Call{talks("west")}},
		"reported, no longer live":        {stored: []string{"sales"}, live: []control.Call{{Server: "east", LinkedID: "1.2"}}, want: true},
	} {
		b, _, _ := newBoard(t, 0)
		for _, queue := range c.stored {
			state, id := callIn(queue)
			keep(t, b, state, id, 0)
		}
		if c.ended {
			keep(t, b, ended, id, 0)
		}
		v := ofSales(b)
		if got := b.seesLive(&v, "1.1", c.live); got != c.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}
