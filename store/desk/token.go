package desk

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"ringhook/store/sqlite"
)

// Token is a bearer token of a program. The token itself is not stored.
type Token struct {
	Name    string    `json:"name"`
	Agent   string    `json:"agent,omitempty"`  // id of the agent for whom it acts
	Rights  string    `json:"rights"`           // agent, supervisor or administrator
	Queues  []string  `json:"queues,omitempty"` // of a supervisor
	Created time.Time `json:"created"`
	Used    time.Time `json:"used,omitzero"` // at most some minutes old; zero if it was never used
}

// ErrTokenExists is returned for a second token of one name.
var ErrTokenExists = errors.New("there is a token of this name")

// HashOf returns what is stored of a token. A token is random, so that a plain hash does not reveal it.
func HashOf(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// NewToken returns a random token.
func NewToken() string { return "rh_" + RandomText(24) }

// Exists returns the ErrTokenExists of the token's name.
func (t *Token) Exists() error { return fmt.Errorf("%w: %q", ErrTokenExists, t.Name) }

// EncodeQueues returns the queues as they are stored.
func (t *Token) EncodeQueues() (string, error) {
	queues, err := json.Marshal(append([]string{}, t.Queues...))
	return string(queues), err
}

// AddToken makes a token, and returns it. It cannot be read again.
func (d *Desk) AddToken(t Token) (token string, err error) {
	token = NewToken()
	queues, err := t.EncodeQueues()
	if err != nil {
		return "", err
	}
	err = d.write("add a token", func(c *sqlite.Conn) error {
		n, err := c.Changes("insert into token (hash, name, agent, rights, queues, created_ms) values (?, ?, ?, ?, ?, ?) on conflict (name) do nothing",
			HashOf(token), t.Name, t.Agent, t.Rights, queues, t.Created.UnixMilli())
		if err == nil && n == 0 {
			err = ErrTokenExists
		}
		return err
	})
	if errors.Is(err, ErrTokenExists) {
		return "", t.Exists()
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

const tokens = "select name, agent, rights, queues, created_ms, used_ms from token"

// Token returns what a token allows; found is false if there is no such token.
func (d *Desk) Token(token string) (t Token, found bool, err error) {
	err = d.all("read a token", tokens+" where hash = ?", []any{HashOf(token)}, func(scan func(...any) error) error {
		found = true
		t, err = scanToken(scan)
		return err
	})
	return t, found, err
}

// TokenUsed stores when a token was used.
func (d *Desk) TokenUsed(name string, when time.Time) error {
	_, err := d.exec("note the use of a token", "update token set used_ms = ?2 where name = ?1", name, when.UnixMilli())
	return err
}

// Tokens returns all tokens, by name.
func (d *Desk) Tokens() (list []Token, err error) {
	err = d.all("list tokens", tokens+" order by name", nil, func(scan func(...any) error) error {
		t, err := scanToken(scan)
		list = append(list, t)
		return err
	})
	return list, err
}

// RemoveToken removes a token, and reports whether it was there.
func (d *Desk) RemoveToken(name string) (removed bool, err error) {
	n, err := d.end("remove a token", "delete from token where name = ?", name)
	return n > 0, err
}

func scanToken(scan func(...any) error) (t Token, err error) {
	var queues string
	var created int64
	var used sql.NullInt64
	if err = scan(&t.Name, &t.Agent, &t.Rights, &queues, &created, &used); err != nil {
		return t, err
	}
	t.Created, t.Used = time.UnixMilli(created), at(used)
	return t, json.Unmarshal([]byte(queues), &t.Queues)
}
