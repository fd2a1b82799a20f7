package pgstore

import (
	"errors"
	"io/fs"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

var errDSN = errors.New("is not the address of a PostgreSQL database: write postgres://USER:${PASSWORD}@HOST/DATABASE?sslmode=verify-full, " +
	"with special characters of the password percent-encoded, or host=HOST dbname=DATABASE user=USER password=${PASSWORD}")

// CheckDSN returns what is wrong with a DSN, without anything of it that may be secret.
func CheckDSN(dsn string) error {
	_, err := pgxpool.ParseConfig(dsn)
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
	cfg, err := pgx.ParseConfig(dsn)
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
