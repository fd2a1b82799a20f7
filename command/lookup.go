package command

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/httpclient"
	"ringhook/lookup"
	"ringhook/lookup/number"
	"ringhook/store"
	"ringhook/store/phonebook"
)

type lookupCmd struct {
	Number     string   `arg:"" help:"The caller's number, as a trunk delivers it."`
	Parameters []string `arg:"" optional:"" placeholder:"NAME=VALUE" help:"Parameters of the call that the sources ask for, such as queue_id=500."`
	Point      string   `placeholder:"POINT" help:"Ask the sources of this point; all there are otherwise."`
	Queue      string   `placeholder:"ID" help:"The queue that the call is for; the same as queue_id=ID."`
	JSON       bool     `name:"json" help:"Print everything as JSON."`
}

// Run looks up the number by the running server if the configuration has a token for its API, otherwise in
// this process. It prints the answer of each source and the answer that a call would get. It stores nothing.
func (c *lookupCmd) Run(s *streams) error {
	asked := api.LookupRequest{Number: c.Number, Point: c.Point, Params: map[string]string{}}
	if c.Queue != "" {
		asked.Params["queue_id"] = c.Queue
	}
	for _, p := range c.Parameters {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return usageError{fmt.Errorf("parameter %q is not NAME=VALUE", p)}
		}
		asked.Params[name] = value
	}
	cfg, err := s.load()
	if err != nil {
		return err
	}
	if len(cfg.Lookups) == 0 {
		return errors.New("the configuration has no [[lookup]]")
	}
	report, where, err := ask(s, cfg, asked)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(s.out, report)
	} else {
		printLookup(s.out, report, where)
	}
	return errors.Join(err, failed(report.Sources))
}

// ask looks up by the running server, or else in this process, and returns which.
func ask(s *streams, cfg *conf.Config, asked api.LookupRequest) (report *api.LookupReport, where string, err error) {
	if cfg.HTTP.Token != "" {
		report, err = askServer(cfg, asked)
		if report != nil || err != nil {
			return report, "the server on " + cfg.HTTP.Listen, err
		}
	}
	report, err = askHere(s, cfg, asked)
	return report, "this command, with the configuration on disk", err
}

// askServer asks the running server. If no server runs, it returns neither a report nor an error.
func askServer(cfg *conf.Config, asked api.LookupRequest) (*api.LookupReport, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return nil, err
	}
	client, err := httpclient.NewClient(httpclient.ClientConfig{MaxConns: 1, MaxBody: 16 << 20})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	resp, err := client.Do(&httpclient.Request{
		Method: http.MethodPost, URL: "http://" + cfg.HTTP.Listen + "/v1/lookup",
		Header: [][2]string{{"Authorization", "Bearer " + cfg.HTTP.Token}}, ContentType: "application/json", Body: body,
	}, time.Now().Add(cfg.FastAGI.Budget+store.Wait))
	if failed := (*httpclient.Error)(nil); errors.As(err, &failed) && failed.Class == httpclient.ClassConnect {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask the server on %s: %w", cfg.HTTP.Listen, err)
	}
	if resp.Status != http.StatusOK {
		var refused struct{ Error string }
		_ = json.Unmarshal(resp.Body, &refused) // then the status says enough
		return nil, fmt.Errorf("the server on %s answers %d: %s", cfg.HTTP.Listen, resp.Status, cmp.Or(refused.Error, "is it ringhook?"))
	}
	report := &api.LookupReport{}
	if err := json.Unmarshal(resp.Body, report); err != nil {
		return nil, fmt.Errorf("read the answer of the server on %s: %w", cfg.HTTP.Listen, err)
	}
	return report, nil
}

// askHere asks in this process, with the cache and the phonebook if they can be read.
func askHere(s *streams, cfg *conf.Config, asked api.LookupRequest) (report *api.LookupReport, err error) {
	log := s.warnings()
	var cache lookup.Cache = noCache{}
	st, err := store.OpenTool(cfg.Store.Folder, log)
	switch {
	case err == nil:
		cache = st.Cache()
		defer func() { err = errors.Join(err, st.Close()) }()
	case !errors.Is(err, fs.ErrNotExist):
		log.Warn("cache is not looked at", "err", err)
	}
	var book lookup.Phonebook = noPhonebook{}
	phonebook, err := phonebook.Open(cfg.Store.Folder)
	switch {
	case err == nil:
		book = phonebook
		defer func() { err = errors.Join(err, phonebook.Close()) }()
	case !errors.Is(err, fs.ErrNotExist):
		book = noPhonebook{err}
	}
	var dids lookup.DIDs = noDIDs{}
	uses, err := openDesk(s, cfg, false)
	switch {
	case err == nil:
		dids = uses
		defer func() { err = errors.Join(err, uses.Close()) }()
	case !errors.Is(err, fs.ErrNotExist):
		dids = noDIDs{err}
	}
	accounts, done, err := openAccounts(s, cfg)
	if err != nil {
		return nil, err
	}
	defer done()
	service, err := lookup.New(cfg.Lookups, cache, lookup.Own{Phonebook: book, DIDs: dids, Accounts: accounts}, log, prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), cfg.FastAGI.Budget)
		defer cancel()
		err = errors.Join(err, service.Close(ctx))
	}()
	return api.NewExplainer(cfg.Settings(), number.NewReader(cfg.Number), service).Explain(s.ctx, asked)
}

// printLookup prints a lookup as text.
func printLookup(w io.Writer, r *api.LookupReport, where string) {
	fmt.Fprintf(w, "%s is read as %s (%s)", printable(r.Number.Raw), printable(cmp.Or(r.Number.Read, "no number")), r.Number.Kind)
	for _, s := range []string{r.Number.RegionName, r.Number.RegionTime} {
		if s != "" {
			fmt.Fprintf(w, ", %s", s)
		}
	}
	fmt.Fprintf(w, "\nasked by %s\n", where)
	for _, source := range r.Sources {
		printReport(w, source)
	}
	fmt.Fprintf(w, "\na call gets now: %s", dialplan.Status(r.Outcome))
	switch {
	case r.Source != "" && r.Cached:
		fmt.Fprintf(w, ", from the cache of %s", r.Source)
	case r.Source != "":
		fmt.Fprintf(w, ", from %s after %s", r.Source, milliseconds(r.Took))
	}
	fmt.Fprintln(w)
	for _, v := range r.Channel.Set {
		fmt.Fprintf(w, "  %s = %s\n", v.Name, printable(v.Value))
	}
	if len(r.Channel.Parameters) > 0 {
		fmt.Fprintf(w, "only events get %s\n", printable(strings.Join(r.Channel.Parameters, ", ")))
	}
	for _, v := range r.Channel.Refused {
		fmt.Fprintf(w, "refused %s (%s)\n", printable(v.Name), refusalReasons[v.Reason])
	}
}

// refusalReasons describe why an answer's variable is not set, by dialplan's reason.
var refusalReasons = map[string]string{
	"name":     "[dialplan] variables does not allow this name",
	"value":    "the value is not of the type that [dialplan] variables asks for",
	"repeated": "the answer has it twice",
}

// cacheStates say what the cache holds of a question.
var cacheStates = map[string]string{
	"fresh": "this answer, which calls get without asking", "stale": "this answer, for calls while the source fails",
	"missing": "NOTFOUND, which calls get without asking", "none": "nothing",
}

func printReport(w io.Writer, r lookup.Report) {
	fmt.Fprintf(w, "\n%s: %s", r.Lookup, dialplan.Status(r.Outcome))
	if r.Reason != "" {
		fmt.Fprintf(w, " (%s: %s)", r.Reason, printable(r.Detail))
	}
	fmt.Fprintln(w)
	if r.Request != "" {
		fmt.Fprintf(w, "  asked    %s\n", printable(r.Request))
		if len(r.Empty) > 0 {
			fmt.Fprintf(w, "  empty    %s: not given, add NAME=VALUE\n", printable(strings.Join(r.Empty, ", ")))
		}
		fmt.Fprintf(w, "  took     %s\n", milliseconds(r.Took))
	}
	if r.Status != 0 {
		fmt.Fprintf(w, "  status   %d\n", r.Status)
		if r.Location != "" {
			fmt.Fprintf(w, "  location %s: redirects are not followed, set url to it\n", printable(r.Location))
		}
		for _, h := range r.Header {
			fmt.Fprintf(w, "  header   %s: %s\n", printable(h[0]), printable(h[1]))
		}
		fmt.Fprintf(w, "  answered %s\n", printable(r.Raw))
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "  note     %s\n", printable(note))
	}
	printVars(w, r.Vars)
	fmt.Fprintf(w, "  cached   %s", cacheStates[r.Cache])
	if r.Age > 0 {
		fmt.Fprintf(w, " (%s old)", r.Age.Round(time.Second))
	}
	fmt.Fprintln(w)
	printVars(w, r.Cached)
}

func printVars(w io.Writer, vars []lookup.Var) {
	for _, v := range vars {
		fmt.Fprintf(w, "    %s = %s\n", printable(v.Name), printable(v.Value))
	}
}

// failed returns an error that names the sources that did not answer.
func failed(reports []lookup.Report) error {
	var names []string
	for _, r := range reports {
		if r.Outcome == lookup.Failed || r.Outcome == lookup.Timeout {
			names = append(names, r.Lookup+" "+dialplan.Status(r.Outcome))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("no answer: %s", strings.Join(names, ", "))
}

// noCache is an empty cache.
type noCache struct{}

// Get implements lookup.Cache: nothing is in it.
func (noCache) Get(string) (lookup.Entry, bool) { return lookup.Entry{}, false }

// Put implements lookup.Cache: nothing is kept.
func (noCache) Put(lookup.Entry) {}

// noPhonebook is an empty phonebook, or one that cannot be read.
type noPhonebook struct{ err error }

// Find implements lookup.Phonebook: it finds nothing, or returns why the phonebook cannot be read.
func (p noPhonebook) Find(string) ([]lookup.Var, error) { return nil, p.err }

// noDIDs knows the use of no number, or why it cannot be read.
type noDIDs struct{ err error }

// DIDTarget implements lookup.DIDs: it finds nothing, or returns why the uses cannot be read.
func (n noDIDs) DIDTarget(string) (kind, target string, found bool, err error) {
	return "", "", false, n.err
}
