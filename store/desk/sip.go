package desk

import "time"

// SIPAccount is an account of a phone that was created by a command. Its password is not stored.
type SIPAccount struct {
	Server    string    `json:"server"`
	Name      string    `json:"account"`
	Extension string    `json:"extension,omitempty"`
	CallerID  string    `json:"caller_id,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Who       string    `json:"who"`
	Created   time.Time `json:"created"`
}

// AddSIPAccount stores an account. added is false if the Asterisk has one of this name, or most already.
func (d *Desk) AddSIPAccount(a SIPAccount, most int) (added bool, err error) {
	n, err := d.exec("add a SIP account", `insert into sip_account (server, name, extension, caller_id, transport, who, created_ms) select ?1, ?2, ?3, ?4, ?5, ?6, ?7
		where (select count(*) from sip_account where server = ?1) < ?8 on conflict (server, name) do nothing`,
		a.Server, a.Name, a.Extension, a.CallerID, a.Transport, a.Who, a.Created.UnixMilli(), most)
	return n > 0, err
}

// SetSIPAccount stores the extension, caller id and transport of an account, and reports whether there is one.
func (d *Desk) SetSIPAccount(a SIPAccount) (found bool, err error) {
	n, err := d.exec("change a SIP account", "update sip_account set extension = ?3, caller_id = ?4, transport = ?5 where server = ?1 and name = ?2",
		a.Server, a.Name, a.Extension, a.CallerID, a.Transport)
	return n > 0, err
}

// RemoveSIPAccount removes an account, and reports whether there was one.
func (d *Desk) RemoveSIPAccount(server, name string) (removed bool, err error) {
	n, err := d.exec("remove a SIP account", "delete from sip_account where server = ? and name = ?", server, name)
	return n > 0, err
}

// SIPAccounts returns all accounts, in the order of the servers and the names.
func (d *Desk) SIPAccounts() (list []SIPAccount, err error) {
	err = d.all("list SIP accounts", "select server, name, extension, caller_id, transport, who, created_ms from sip_account order by server, name", nil,
		func(scan func(...any) error) error {
			var a SIPAccount
			var created int64
			err := scan(&a.Server, &a.Name, &a.Extension, &a.CallerID, &a.Transport, &a.Who, &created)
			a.Created = time.UnixMilli(created)
			list = append(list, a)
			return err
		})
	return list, err
}
