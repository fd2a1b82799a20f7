package freepbx

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Diff writes the changes of the files as a unified diff without context.
func Diff(out io.Writer, files []File) {
	for _, f := range files {
		if bytes.Equal(f.Old, f.New) && (f.Old == nil) == (f.New == nil) {
			fmt.Fprintf(out, "%s: nothing to change\n", f.Path)
			continue
		}
		from, to := f.Path, f.Path
		if f.Old == nil {
			from = "/dev/null"
		}
		if f.New == nil {
			to = "/dev/null"
		}
		fmt.Fprintf(out, "--- %s\n+++ %s\n", from, to)
		before, after := lines(f.Old), lines(f.New)
		same := 0
		for same < len(before) && same < len(after) && bytes.Equal(before[same], after[same]) {
			same++
		}
		tail := 0
		for tail < len(before)-same && tail < len(after)-same && bytes.Equal(before[len(before)-1-tail], after[len(after)-1-tail]) {
			tail++
		}
		removed, added := before[same:len(before)-tail], after[same:len(after)-tail]
		fmt.Fprintf(out, "@@ -%s +%s @@\n", span(same, len(removed)), span(same, len(added)))
		write := func(sign string, all [][]byte) {
			for _, line := range all {
				fmt.Fprintf(out, "%s%s", sign, shown(line))
				if !bytes.HasSuffix(line, []byte("\n")) {
					fmt.Fprint(out, "\n\\ No newline at end of file\n")
				}
			}
		}
		write("-", removed)
		write("+", added)
	}
}

// shown returns a line as it is printed: a secret is not.
func shown(line []byte) []byte {
	if !bytes.HasPrefix(line, []byte("secret = ")) {
		return line
	}
	return []byte("secret = (not shown)\n")
}

// lines splits a text into lines with their ends.
func lines(text []byte) [][]byte {
	all := bytes.SplitAfter(text, []byte("\n"))
	if len(all[len(all)-1]) == 0 {
		all = all[:len(all)-1]
	}
	return all
}

// span returns the place of lines in the form of a diff: first,number.
func span(before, n int) string {
	if n > 0 {
		before++
	}
	return fmt.Sprintf("%d,%d", before, n)
}

// Write changes the files, all or none. It keeps a copy of each file that it changes for the first time,
// beside the file.
func Write(files []File) error {
	for i := range files {
		if err := files[i].copy(); err != nil {
			return err
		}
	}
	for i := range files {
		if err := files[i].write(files[i].New); err != nil {
			for j := range files[:i] {
				err = errors.Join(err, files[j].write(files[j].Old))
			}
			return err
		}
	}
	return nil
}

// copy keeps the text of a file before the first change.
func (f *File) copy() error {
	if f.Old == nil || lineWith(f.Old, beginMark) >= 0 || bytes.HasPrefix(f.Old, []byte(tomlMark)) {
		return nil
	}
	return replace(f.Path+copySuffix, f.Old, f.Path)
}

// write replaces the text of the file; nil removes it.
func (f *File) write(text []byte) error {
	if text == nil {
		if err := os.Remove(f.Path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return replace(f.Path, text, f.Path)
}

// replace writes a file by way of a temporary one, with the owner and the mode of the file like, or those of
// its folder's owner if it does not exist.
func replace(file string, text []byte, like string) error {
	mode := fs.FileMode(0o640)
	info, err := os.Stat(like)
	if err == nil {
		mode = info.Mode().Perm()
	} else if info, err = os.Stat(filepath.Dir(file)); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(file), ".ringhook-")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(text)
	err = errors.Join(err, t.Chmod(mode))
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = errors.Join(err, t.Chown(int(owner.Uid), int(owner.Gid)))
	}
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.Rename(t.Name(), file)
}

// Removal returns the files of a folder without what ringhook added. toml is the path of the file with the
// settings.
func Removal(folder, toml string) ([]File, error) {
	var files []File
	for _, name := range changeable {
		f := File{Path: filepath.Join(folder, name)}
		var err error
		if f.Old, err = readOwn(f.Path); err != nil {
			return nil, err
		}
		block, rest, err := cutBlock(f.Path, f.Old)
		if err != nil {
			return nil, err
		}
		if block != nil {
			f.New = rest
			files = append(files, f)
		}
	}
	f := File{Path: toml}
	var err error
	if f.Old, err = readOwn(toml); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(f.Old, []byte(tomlMark)) {
		files = append(files, f)
	}
	return files, nil
}

// Remove writes the files of Removal, and removes the copies of Write from the folder.
func Remove(folder string, files []File) error {
	if err := Write(files); err != nil {
		return err
	}
	for _, name := range changeable {
		if err := os.Remove(filepath.Join(folder, name) + copySuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
