// Package place names the places of telephone numbers. It reads the tables of github.com/nyaruka/phonenumbers, which are
// those of Google's libphonenumber, into a tenth of the memory that the module takes for them: a table has 270,000
// entries, which as a map are most of what an idle ringhook has in use, and what each collection of garbage marks.
package place

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// data are copies of data/prefix_to_geocodings of the module: a test compares them.
//
//go:embed data/*.txt.gz
var data embed.FS

// fallback is the language of places that have no name in the one that is wanted.
const fallback = "en"

// longest is the length of the longest prefix of a number that is looked for, with its plus sign.
const longest = 10

// Name returns the name of the place where a number is, in a language if it has one there, else in English: that of a town
// or a region, or of the country, which is given by its two-letter code. It is empty if nothing is known. The first call for
// a language takes some milliseconds.
func Name(lang, e164, country string) string {
	for _, l := range []string{lang, fallback} {
		if t := tableOf(l); t != nil {
			if name := t.find(e164); name != "" {
				return name
			}
		}
	}
	region, err := language.ParseRegion(country)
	if err != nil {
		return ""
	}
	tag, err := language.Parse(lang)
	if err != nil {
		tag = language.English
	}
	names := display.Regions(tag)
	if names == nil { // the language is known, but not how it names countries
		names = display.Regions(language.English)
	}
	return names.Name(region)
}

// table has the places of one language.
type table struct {
	prefixes []uint32 // without the plus sign, in their order
	places   []uint16 // of each prefix, in names
	names    []string
}

// find returns the place of the longest prefix of a number that has one.
func (t *table) find(e164 string) string {
	for n := min(longest, len(e164)); n > 1; n-- {
		prefix, err := strconv.ParseUint(e164[1:n], 10, 32)
		if err != nil {
			return ""
		}
		if i, found := slices.BinarySearch(t.prefixes, uint32(prefix)); found {
			return t.names[t.places[i]]
		}
	}
	return ""
}

// tables has those that were read, by language: nil for a language without one.
var (
	mu     sync.Mutex
	tables = map[string]*table{}
)

// tableOf returns the table of a language, nil if there is none. The files are part of the program, so a mistake in them is
// a bug.
func tableOf(lang string) *table {
	mu.Lock()
	defer mu.Unlock()
	t, known := tables[lang]
	if !known {
		if packed, err := data.ReadFile("data/" + lang + ".txt.gz"); err == nil {
			if t, err = read(packed); err != nil {
				panic(fmt.Sprintf("places in %s, which are part of the program: %v", lang, err))
			}
		}
		tables[lang] = t
	}
	return t
}

// read reads a file: the size of the names and the names, each on a line; then the number of the prefixes, and for each
// how much larger it is than the one before, as a varint, and the number of its name in 16 bits.
func read(packed []byte) (*table, error) {
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(unpacked)
	text, err := section(in)
	if err != nil {
		return nil, err
	}
	names := make([]byte, text)
	if _, err := io.ReadFull(in, names); err != nil {
		return nil, err
	}
	count, err := section(in)
	if err != nil {
		return nil, err
	}
	t := &table{prefixes: make([]uint32, count), places: make([]uint16, count), names: strings.Split(string(names), "\n")}
	prefix := uint64(0)
	for i := range t.prefixes {
		more, err := binary.ReadUvarint(in)
		if err != nil {
			return nil, err
		}
		low, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		high, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		prefix += more
		t.prefixes[i], t.places[i] = uint32(prefix), uint16(low)|uint16(high)<<8
		if prefix > 1<<32-1 || int(t.places[i]) >= len(t.names) {
			return nil, fmt.Errorf("prefix %d has no place", prefix)
		}
	}
	return t, nil
}

// section reads a number of 32 bits.
func section(in io.Reader) (n uint32, err error) {
	err = binary.Read(in, binary.LittleEndian, &n)
	return n, err
}
