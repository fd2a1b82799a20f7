package desk

import (
	"encoding/json"
	"time"

	"ringhook/pgstore"
	"ringhook/store/desk"
)

// AddToken makes a token, and returns it. It cannot be read again.
func (d *Desk) AddToken(t desk.Token) (token string, err error) {
	token = desk.NewToken()
	queues, err := t.EncodeQueues()
	if err != nil {
		return "", err
	}
	n, err := d.exec("add a token", pgstore.Do(`insert into ringhook.token (tenant, hash, name, agent, rights, queues, created) values ($1, $2, $3, $4, $5, $6, $7)
		on conflict (tenant, name) do nothing`, desk.HashOf(token), t.Name, t.Agent, t.Rights, queues, t.Created))
	if err == nil && n == 0 {
		err = t.Exists()
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

const tokens = "select name, agent, rights, queues, created, used from ringhook.token where tenant = $1"

// Token returns what a token allows; found is false if there is no such token.
func (d *Desk) Token(token string) (t desk.Token, found bool, err error) {
	err = d.all("read a token", func(scan func(...any) error) error {
		found = true
		t, err = scanToken(scan)
		return err
	}, tokens+" and hash = $2", desk.HashOf(token))
	return t, found, err
}

// TokenUsed stores when a token was used.
func (d *Desk) TokenUsed(name string, when time.Time) error {
	_, err := d.exec("note the use of a token", pgstore.Do("update ringhook.token set used = $3 where tenant = $1 and name = $2", name, when))
	return err
}

// Tokens returns all tokens, by name.
func (d *Desk) Tokens() (list []desk.Token, err error) {
	err = d.all("list tokens", func(scan func(...any) error) error {
		t, err := scanToken(scan)
		list = append(list, t)
		return err
	}, tokens+" order by name")
	return list, err
}

// RemoveToken removes a token, and reports whether it was there.
func (d *Desk) RemoveToken(name string) (removed bool, err error) {
	n, err := d.end("remove a token", "delete from ringhook.token where tenant = $1 and name = $2", name)
	return n > 0, err
}

func scanToken(scan func(...any) error) (t desk.Token, err error) {
	var queues string
	var used *time.Time
	if err = scan(&t.Name, &t.Agent, &t.Rights, &queues, &t.Created, &used); err != nil {
		return t, err
	}
	t.Created, t.Used = t.Created.Local(), at(used)
	return t, json.Unmarshal([]byte(queues), &t.Queues)
}
