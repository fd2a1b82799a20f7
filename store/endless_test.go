package store

import (
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ringhook/store/sqlite"
)

// The kinds of pages of a b-tree.
const (
	interiorIndex = 2
	leafIndex     = 10
	interiorTable = 5
	leafTable     = 13
)

// root returns the page of a table or an index.
func root(t *testing.T, path, name string) (page int64) {
	t.Helper()
	db, err := sql.Open("sqlite3", path)
	if err == nil {
		err = db.QueryRow("select rootpage from sqlite_schema where name = ?", name).Scan(&page)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return page
}

// makeEndless damages a file, so that the pages of a b-tree refer to each other: the children of the root are one page,
// whose children are one page, and so on. A scan reads the leaf, with its one cell, more often than it ever ends.
func makeEndless(t *testing.T, path, name string, interior, leaf byte, key, cell []byte) {
	t.Helper()
	const levels, children = 12, 100
	at := root(t, path, name)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	next := uint32(max(fileSize(path), checkAlways) / sqlite.PageSize) // no start checks the whole file
	put := func(number int64, page []byte) {
		t.Helper()
		if _, err := f.WriteAt(page, (number-1)*sqlite.PageSize); err != nil {
			t.Fatal(err)
		}
	}
	for range levels {
		next++
		cells := make([][]byte, children)
		for i := range cells {
			cells[i] = append(binary.BigEndian.AppendUint32(nil, next), key...)
		}
		put(at, btreePage(interior, cells, next))
		at = int64(next)
	}
	put(at, btreePage(leaf, [][]byte{cell}, 0))
	if _, err := f.WriteAt(binary.BigEndian.AppendUint32(nil, next), 28); err != nil { // the number of pages
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func btreePage(kind byte, cells [][]byte, right uint32) []byte {
	p := make([]byte, sqlite.PageSize)
	p[0] = kind
	head, end := 8, sqlite.PageSize
	if kind == interiorIndex || kind == interiorTable {
		head = 12
		binary.BigEndian.PutUint32(p[8:], right)
	}
	for i, c := range cells {
		end -= len(c)
		copy(p[end:], c)
		binary.BigEndian.PutUint16(p[head+2*i:], uint16(end))
	}
	binary.BigEndian.PutUint16(p[3:], uint16(len(cells)))
	binary.BigEndian.PutUint16(p[5:], uint16(end))
	return p
}

// Entries as SQLite writes them: their length, a header of types, and the values.
var (
	callEntry     = []byte("\x07\x03\x13\x01" + "1.1" + "\x01")
	tallyEntry    = []byte("\x08\x05\x0f\x01\x01\x00" + "a" + "\x01\x01")
	dueEntry      = []byte("\x11\x04\x15\x06\x01" + "dead" + "\x40\x00\x00\x00\x00\x00\x00\x00" + "\x01")
	deliveredRow1 = []byte("\x0d\x01\x0c\x00\x09\x0f\x0d\x09\x08\x00\x00\x0d\x08\x08" + "a")
)

// TestEndless checks that neither the start nor salvage reads on for ever in a file whose pages refer to each other.
func TestEndless(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"calls": func(t *testing.T, path string) {
			makeEndless(t, path, "sqlite_autoindex_call_1", interiorIndex, leafIndex, callEntry, callEntry)
		},
		"counts": func(t *testing.T, path string) {
			makeEndless(t, path, "tally", interiorIndex, leafIndex, tallyEntry, tallyEntry)
		},
		"due": func(t *testing.T, path string) {
			makeEndless(t, path, "delivery_due", interiorIndex, leafIndex, dueEntry, dueEntry)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := filled(t)
			path := filepath.Join(cfg.Folder, outboxFile)
			damage(t, path)
			s := newStore(cfg, quiet, nil, time.Now)
			var err error
			if s.lock, err = takeLock(cfg.Folder); err != nil {
				t.Fatal(err)
			}
			s.recallTime = time.Hour // rows that repeat are noticed before
			if name == "due" {
				s.recallTime = 300 * time.Millisecond
			}
			if err := s.start(); err != nil {
				t.Fatal(errors.Join(err, s.lock.release(clean)))
			}
			defer mustClose(t, s)
			keep(t, s.Journal(), testRecord("9.1", 1, "a"))
			aside, _ := filepath.Glob(path + ".damaged-*Z")
			if len(aside) != 1 {
				t.Fatalf("moved aside: %v", aside)
			}
			if got, err := s.Operator().Salvage(t.Context(), aside[0]); err != nil || got.Copied != 300 {
				t.Errorf("salvaged %+v, %v, want 300", got, err)
			}
		})
	}
}

// TestSalvageEnds checks that salvage gives up a file whose deliveries cannot be read to an end, and skips what is between
// two numbers.
func TestSalvageEnds(t *testing.T) {
	cfg := filled(t)
	file := filepath.Join(t.TempDir(), "damaged")
	copyFile(t, filepath.Join(cfg.Folder, outboxFile), file)
	alter(t, file, "update delivery set id = 1000000000000 where id = 1; update delivery set id = 9223372036854775807, state = 2 where id = 2")
	s := testStore(t, time.Now)
	if got, err := s.Operator().Salvage(t.Context(), file); err != nil || got.Copied < 299 {
		t.Errorf("salvaged %+v, %v, want 299 or 300", got, err)
	}
	makeEndless(t, file, "delivery", interiorTable, leafTable, []byte{127}, deliveredRow1)
	s.salvageRead = 20 * time.Millisecond
	if got, err := s.Operator().Salvage(t.Context(), file); !errors.Is(err, errEndless) {
		t.Errorf("salvaged %+v, %v", got, err)
	}
}

// TestSalvageCounts checks that deliveries of which not even the rows are left are counted.
func TestSalvageCounts(t *testing.T) {
	cfg := filled(t)
	file := filepath.Join(t.TempDir(), "damaged")
	copyFile(t, filepath.Join(cfg.Folder, outboxFile), file)
	at := root(t, file, "delivery")
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(btreePage(leafTable, nil, 0), (at-1)*sqlite.PageSize)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	s := testStore(t, time.Now)
	if got, err := s.Operator().Salvage(t.Context(), file); err != nil || got != (Salvaged{Unreadable: 300}) {
		t.Errorf("salvaged %+v, %v", got, err)
	}
}
