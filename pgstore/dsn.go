package pgstore

import (
	"errors"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"ringhook/conffile"
)

var errDSN = errors.New("is not the address of a PostgreSQL database: write postgres://USER:${PASSWORD}@HOST/DATABASE?sslmode=verify-full, " +
	"with special characters of the password percent-encoded, or host=HOST dbname=DATABASE user=USER password=${PASSWORD}")

// CheckDSN returns what is wrong with a DSN, without anything of it that may be secret.
func CheckDSN(dsn string) error {
	_, err := parsePool(dsn)
	if file := (*fileError)(nil); errors.As(err, &file) {
		return file
	}
	if file := (*fs.PathError)(nil); errors.As(err, &file) {
		return errors.New("names a file that cannot be read: " + file.Error())
	}
	if err != nil {
		return errDSN // the parser's own message may contain parts of the password
	}
	return nil
}

// Address describes where a DSN leads, for people: the database and its servers, without the user and the password. It is
// empty if the DSN is wrong.
func Address(dsn string) string {
	cfg, err := parse(dsn)
	if err != nil {
		return ""
	}
	var hosts []string
	add := func(host string, port uint16) {
		if !strings.HasPrefix(host, "/") {
			host = net.JoinHostPort(host, strconv.Itoa(int(port)))
		}
		if !slices.Contains(hosts, host) {
			hosts = append(hosts, host)
		}
	}
	add(cfg.Host, cfg.Port)
	for _, f := range cfg.Fallbacks {
		add(f.Host, f.Port)
	}
	return "database " + cfg.Database + " on " + strings.Join(hosts, ", ")
}

// parse and parsePool read a DSN, and the files that it names.
func parse(dsn string) (*pgx.ConnConfig, error) {
	if err := checkFiles(dsn); err != nil {
		return nil, err
	}
	return pgx.ParseConfig(dsn)
}

func parsePool(dsn string) (*pgxpool.Config, error) {
	if err := checkFiles(dsn); err != nil {
		return nil, err
	}
	return pgxpool.ParseConfig(dsn)
}

// fileError is returned for a file that must not be read.
type fileError struct{ err error }

// Error returns what is wrong with the file.
func (f *fileError) Error() string { return "names a file that cannot be read: " + f.err.Error() }

// dsnFiles are the files of a DSN: their parameters, the environment variables, and the places in the home folder. pgx reads them
// without a limit, and waits for the writer of a pipe.
var dsnFiles = []struct{ parameter, variable, home string }{
	{"servicefile", "PGSERVICEFILE", ".pg_service.conf"},
	{"passfile", "PGPASSFILE", ".pgpass"},
	{"sslcert", "PGSSLCERT", ".postgresql/postgresql.crt"},
	{"sslkey", "PGSSLKEY", ".postgresql/postgresql.key"},
	{"sslrootcert", "PGSSLROOTCERT", ".postgresql/root.crt"},
}

// checkFiles returns an error if a file of a DSN is not a regular one of a limited size. One that does not exist is left to pgx.
func checkFiles(dsn string) error {
	texts := []string{dsn} // and those of the services
	for _, f := range dsnFiles {
		names := []string{os.Getenv(f.variable)}
		if home, err := os.UserHomeDir(); err == nil {
			names = append(names, filepath.Join(home, f.home))
		}
		for _, text := range texts {
			names = append(names, valuesOf(text, f.parameter)...)
		}
		for _, name := range names {
			if name == "" {
				continue
			}
			text, err := conffile.Read(name, conffile.MaxPEM)
			if file := (*fs.PathError)(nil); errors.As(err, &file) { // pgx knows whether it needs the file
				continue
			}
			if err != nil {
				return &fileError{err}
			}
			if f.parameter == "servicefile" {
				texts = append(texts, string(text))
			}
		}
	}
	return nil
}

// valuesOf returns what may be the values of a parameter in a DSN of either form, or in a file of services. It may find too
// many: none of them is used.
func valuesOf(text, parameter string) (values []string) {
	if u, err := url.Parse(text); err == nil && u.Scheme != "" {
		return u.Query()[parameter]
	}
	named := regexp.MustCompile(`(?m)(?:^|[\s'])` + parameter + `\s*=\s*('(?:[^'\\]|\\.)*'|[^\r\n]*)`)
	for _, m := range named.FindAllStringSubmatch(text, -1) {
		value := m[1]
		if strings.HasPrefix(value, "'") {
			values = append(values, unescape(strings.Trim(value, "'")))
			continue
		}
		values = append(values, strings.TrimSpace(value)) // of a file of services, to the end of the line
		if word := strings.Fields(value); len(word) > 1 {
			values = append(values, unescape(word[0]))
		}
	}
	return values
}

// unescape removes the backslashes before characters.
func unescape(value string) string {
	return regexp.MustCompile(`\\(.)`).ReplaceAllString(value, "$1")
}
