package freepbx

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	contrib "ringhook/contrib/freepbx"
)

// nothing is a configuration without queues and agents.
var nothing = Known{Queue: func(string) bool { return false }, Phone: func(string) bool { return false }}

// copied returns a copy of a folder of testdata.
func copied(t *testing.T, name string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	return folder
}

// contents returns all files below a folder, with their modes.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		all[path] = fmt.Sprintf("%v %s", info.Mode(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for path, text := range want {
		if got[path] != text {
			t.Errorf("%s: %s is %q, want %q", what, path, got[path], text)
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%s: there is a new file %s", what, path)
		}
	}
}

// TestWriteRemove checks that --remove restores what --write changed, byte by byte, from every level, and
// that a second --write changes nothing.
func TestWriteRemove(t *testing.T) {
	for _, name := range []string{"freepbx16", "freepbx17", "issabel"} {
		for _, levels := range [][]Level{{Names}, {Events}, {Manager}, {Events, Names}, {Names, Events, Events}, {Events, Manager, Manager}, {Manager, Names}} {
			if name == "issabel" && slices.Contains(levels, Events) {
				continue
			}
			folder := copied(t, name)
			toml := filepath.Join(folder, "freepbx.toml")
			before := contents(t, folder)
			for _, level := range levels {
				site, err := Read(folder)
				if err != nil {
					t.Fatal(err)
				}
				files, err := site.Plan(level, toml, nothing)
				if err != nil {
					t.Fatal(err)
				}
				if err := Write(files); err != nil {
					t.Fatal(err)
				}
				again, err := site.Plan(level, toml, nothing)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range again {
					if !bytes.Equal(f.Old, f.New) {
						t.Errorf("%s: a second write would change %s", name, f.Path)
					}
				}
			}
			files, err := Removal(folder, toml)
			if err != nil {
				t.Fatal(err)
			}
			if err := Remove(folder, files); err != nil {
				t.Fatal(err)
			}
			same(t, fmt.Sprint(name, levels), contents(t, folder), before)
		}
	}
}

// TestKeepsChanges checks that what an administrator changes after --write stays, and that the copy has the file
// before it.
func TestKeepsChanges(t *testing.T) {
	folder := copied(t, "freepbx16")
	file, toml := filepath.Join(folder, customFile), filepath.Join(folder, "freepbx.toml")
	original, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	site, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	files, err := site.Plan(Names, toml, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(files); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile(file + copySuffix)
	if err != nil || !bytes.Equal(kept, original) {
		t.Errorf("the copy is %q, %v", kept, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "[later]\nexten => 1,1,NoOp()\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	if files, err = Removal(folder, toml); err != nil {
		t.Fatal(err)
	}
	if err := Remove(folder, files); err != nil {
		t.Fatal(err)
	}
	text, err = os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(original) + "\n[later]\nexten => 1,1,NoOp()\n"; string(text) != want {
		t.Errorf("got %q, want %q", text, want)
	}
}

// TestKnown checks that queues and agents of the rest of the configuration are left out.
func TestKnown(t *testing.T) {
	folder := copied(t, "freepbx16")
	site, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	files, err := site.Plan(Names, filepath.Join(folder, "freepbx.toml"), Known{
		Queue: func(id string) bool { return id == "500" }, Phone: func(id string) bool { return id == "102" },
	})
	if err != nil {
		t.Fatal(err)
	}
	text := string(files[len(files)-1].New)
	for want, there := range map[string]bool{`id = "500"`: false, `id = "501"`: true, `phone = "102"`: false, `phone = "101"`: true} {
		if strings.Contains(text, want) != there {
			t.Errorf("%s is there: %v\n%s", want, !there, text)
		}
	}
}

// TestHostile checks that folders of all kinds give an error that names the file, and stay as they are.
func TestHostile(t *testing.T) {
	at := func(level Level, site, name, want string, spoil func(folder string) error) {
		t.Helper()
		folder := copied(t, site)
		if err := spoil(folder); err != nil {
			t.Fatal(err)
		}
		read, err := Read(folder)
		if err == nil {
			_, err = read.Plan(level, filepath.Join(folder, "freepbx.toml"), nothing)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	f := func(name, want string, spoil func(folder string) error) {
		t.Helper()
		at(Events, "freepbx16", name, want, spoil)
	}
	over := func(name, text string) func(string) error {
		return func(folder string) error { return os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644) }
	}
	f("no dialplan", "is not the folder of a FreePBX", func(folder string) error { return os.Remove(filepath.Join(folder, dialplanFile)) })
	f("another dialplan", "not the dialplan of a FreePBX", over(dialplanFile, "[default]\nexten => 1,1,Answer()\n"))
	f("binary dialplan", "not text", over(dialplanFile, "\x00\x01"))
	f("binary custom file", "not a text file", over(customFile, "\x00"))
	f("huge custom file", "larger than", func(folder string) error { return os.Truncate(filepath.Join(folder, customFile), maxFileSize+1) })
	f("huge dialplan", "exceeds the limit", func(folder string) error { return os.Truncate(filepath.Join(folder, dialplanFile), 1<<30) })
	f("folder", "not a regular file", func(folder string) error { return os.Mkdir(filepath.Join(folder, overrideFile), 0o755) })
	f("link loop", "not a regular file", func(folder string) error { return os.Symlink(overrideFile, filepath.Join(folder, overrideFile)) })
	f("dialplan link loop", "too many levels", func(folder string) error {
		file := filepath.Join(folder, dialplanFile)
		if err := os.Remove(file); err != nil {
			return err
		}
		return os.Symlink(dialplanFile, file)
	})
	f("include loop", "not the dialplan", over(dialplanFile, "#include "+dialplanFile+"\n"))
	f("same extension", "already has [sub-record-check-custom] q", over(customFile, "[sub-record-check-custom]\nexten => q,1,Return()\n"))
	f("same override", "already has [sub-record-cancel] s", over(overrideFile, "[sub-record-cancel]\nexten => s,1,Return()\n"))
	f("cut end", "is missing after", over(customFile, beginMark+"\n[x]\n"))
	f("two parts", "two parts", over(customFile, beginMark+"\n"+endMark+"\n"+beginMark+"\n"+endMark+"\n"))
	f("settings of another", "was not written by this command", over("freepbx.toml", "[log]\n"))
	at(Events, "issabel", "Issabel, level 2", "use --level 3", over(customFile, ""))
	at(Names, "issabel", "Issabel without q", "has no extension q", over(dialplanFile, "[sub-record-check]\nexten => rg,1,Return()\n"))
	for _, bad := range []string{
		"exten => q,2,NoOp()", "exten => q,n+10,NoOp()", "exten => q,hint,SIP/1", "exten => q,n(a b),NoOp()", "exten => q/123,n,NoOp()",
		"exten => rg,n,NoOp()", "exten => q,n", "exten => q,1,NoOp()", "exten => q ,n+1,NoOp()", "same => 2,NoOp()",
	} {
		text := "[sub-record-check]\nexten => q,1,NoOp()\n" + bad + "\nexten => rg,1,Return()\n"
		at(Names, "issabel", "Issabel with "+bad, dialplanFile+":3: ", over(dialplanFile, text))
	}
	at(Names, "issabel", "Issabel, same override", "already has [sub-record-check] q", over(issabelOverride, "[sub-record-check]\nexten => q,1,Return()\n"))
	f("timeout of a queue", queuesFile+":2: timeout of the queue 500", over(queuesFile, "[500]\ntimeout=15s\n"))
	at(Manager, "freepbx16", "same account", "already has [ringhook] secret", over(managerFile, "[ringhook]\nsecret = x\n"))
	f("no custom contexts", "custom", func(folder string) error {
		file := filepath.Join(folder, dialplanFile)
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(file, bytes.ReplaceAll(text, []byte("include => sub-record-check-custom\n"), nil), 0o644)
	})
}

// TestSecret checks that level 3 makes a secret, keeps it, writes it into both files and does not show it.
func TestSecret(t *testing.T) {
	folder := copied(t, "freepbx17")
	toml := filepath.Join(folder, "freepbx.toml")
	plan := func() []File {
		t.Helper()
		site, err := Read(folder)
		if err != nil {
			t.Fatal(err)
		}
		files, err := site.Plan(Manager, toml, nothing)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if a, b := plan(), plan(); bytes.Equal(a[1].New, b[1].New) {
		t.Errorf("two installations have one secret: %s", a[1].New)
	}
	files := plan()
	if err := Write(files); err != nil {
		t.Fatal(err)
	}
	text := contents(t, folder)
	m := secretLine.FindAllStringSubmatch(text[filepath.Join(folder, managerFile)], -1)
	if len(m) != 2 || m[0][1] != "its-own" || len(m[1][1]) < 20 || !strings.Contains(text[toml], fmt.Sprintf("\nsecret = %q\n", m[1][1])) {
		t.Fatalf("secrets: %q\n%s", m, text[toml])
	}
	var shown bytes.Buffer
	Diff(&shown, files)
	if strings.Contains(shown.String(), m[1][1]) {
		t.Errorf("the secret is shown:\n%s", &shown)
	}
}

// TestLots checks that the override file has each parking lot of the site, and no other.
func TestLots(t *testing.T) {
	f := func(lots []string, want string) {
		t.Helper()
		for _, kind := range []Kind{FreePBX16, FreePBX17} {
			site := &Site{Kind: kind, Lots: lots}
			texts, err := site.texts(Events, "level2")
			if err != nil {
				t.Fatal(err)
			}
			_, after, found := strings.Cut(string(texts[overrideFile]), "; A parked call")
			if _, after, _ = strings.Cut(after, "\n"); after != want || found != (want != "") {
				t.Errorf("%s with the lots %q: got %q, want %q", kind, lots, after, want)
			}
		}
	}
	f(nil, "")
	f([]string{"70"}, "[park-return-routing]\nexten => 70,1,Gosub(ringhook-parked,s,1(${EXTEN}))\n")
	f([]string{"70", "800"}, "[park-return-routing]\nexten => 70,1,Gosub(ringhook-parked,s,1(${EXTEN}))\nexten => 800,1,Gosub(ringhook-parked,s,1(${EXTEN}))\n")
}

// TestSameCommands checks that levels 2 and 3 have the same contexts for commands.
func TestSameCommands(t *testing.T) {
	var texts []string
	for _, level := range []string{"level2", "level3"} {
		text, err := contrib.Files.ReadFile(level + "/" + customFile)
		if err != nil {
			t.Fatal(err)
		}
		_, after, ok := strings.Cut(string(text), "; --- Commands")
		if !ok {
			t.Fatalf("%s has no commands", level)
		}
		texts = append(texts, after)
	}
	if texts[0] != texts[1] {
		t.Error("the contexts for commands differ")
	}
}

// TestWriteAllOrNone checks that nothing is changed if one file cannot be written.
func TestWriteAllOrNone(t *testing.T) {
	folder := copied(t, "freepbx16")
	before := contents(t, folder)
	files := []File{
		{Path: filepath.Join(folder, customFile), Old: []byte(strings.SplitN(before[filepath.Join(folder, customFile)], " ", 2)[1]), New: []byte("new")},
		{Path: filepath.Join(folder, "missing", "x.conf"), New: []byte("new")},
	}
	if err := Write(files); err == nil {
		t.Fatal("a file was written into a folder that does not exist")
	}
	if err := os.Remove(files[0].Path + copySuffix); err != nil {
		t.Fatal(err)
	}
	same(t, "after a failed write", contents(t, folder), before)
}

// FuzzBlock checks that any text is restored.
func FuzzBlock(f *testing.F) {
	f.Add("a\nb", "x\n")
	f.Add("", "")
	f.Add("\n", "[a]\n")
	f.Fuzz(func(t *testing.T, rest, added string) {
		if lineWith([]byte(rest), beginMark) >= 0 || lineWith([]byte(added), beginMark) >= 0 || lineWith([]byte(added), endMark) >= 0 || added != "" && !strings.HasSuffix(added, "\n") {
			return
		}
		block, got, err := cutBlock("x", addBlock([]byte(rest), []byte(added)))
		if err != nil || string(got) != rest || block == nil {
			t.Errorf("%q became %q, %v", rest, got, err)
		}
	})
}

// TestDocumentedOverride checks that docs/freepbx.md shows for Issabel what the plan writes for its sample.
func TestDocumentedOverride(t *testing.T) {
	site, err := Read(filepath.Join("testdata", "issabel"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../docs/freepbx.md")
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for line := range strings.Lines(string(site.asks(Names))) {
		if !strings.HasPrefix(line, ";") {
			want += "   " + line
		}
	}
	if !strings.Contains(string(text), "```ini\n"+want+"   ```\n") {
		t.Errorf("docs/freepbx.md does not show this block:\n%s", want)
	}
}

// TestLarge reads a folder with very many queues, groups and phones: each is looked up, none is compared with all.
func TestLarge(t *testing.T) {
	const many = 20_000
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(filepath.Join("testdata", "freepbx16"))); err != nil {
		t.Fatal(err)
	}
	before, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	add := func(file, header string, line func(n int) string) {
		t.Helper()
		f, err := os.OpenFile(filepath.Join(folder, file), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b strings.Builder
		b.WriteString("\n" + header + "\n")
		for n := range many {
			b.WriteString(line(1_000_000+n) + "\n")
		}
		if _, err := f.WriteString(b.String()); err != nil {
			t.Fatal(err)
		}
	}
	add("queues_additional.conf", "", func(n int) string { return fmt.Sprintf("[%d]\ntimeout=5", n) })
	add("extensions_additional.conf", "[from-queue]", func(n int) string { return fmt.Sprintf("exten => %d,1,Goto(from-internal,1,1)", n) })
	add("extensions_additional.conf", "[ext-group]", func(n int) string { return fmt.Sprintf("exten => %d,1,Set(RingGroupMethod=ringall)", n) })
	add("extensions_additional.conf", "[ext-local]", func(n int) string { return fmt.Sprintf("exten => %d,1,Set(X=1)", n) })
	add("pjsip.endpoint.conf", "", func(n int) string { return fmt.Sprintf("[%d]\ncallerid=Anna <%[1]d>", n) })
	s, err := Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Queues) != len(before.Queues)+many || len(s.Groups) != len(before.Groups)+many || len(s.Phones) != len(before.Phones)+many || s.Queues[len(s.Queues)-1].Context != "from-internal" {
		t.Errorf("%d queues, %d groups, %d phones, the last queue through %s", len(s.Queues), len(s.Groups), len(s.Phones), s.Queues[len(s.Queues)-1].Context)
	}
	none := func(string) bool { return false }
	if _, err := s.Plan(Names, filepath.Join(folder, "ringhook.toml"), Known{Queue: none, Phone: none}); err != nil {
		t.Error(err)
	}
}
