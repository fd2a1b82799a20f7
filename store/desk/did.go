package desk

import "time"

// DIDUse is what a number of the company is used for.
type DIDUse struct {
	DID     string    `json:"did"`  // digits
	Type    string    `json:"type"` // sip or goto
	Target  string    `json:"target"`
	Who     string    `json:"who"`
	Changed time.Time `json:"changed"`
}

// SetDIDUse stores the use of a number, in place of an earlier one.
func (d *Desk) SetDIDUse(u DIDUse) error {
	_, err := d.exec("set the use of a number", `insert into did_use (did, type, target, who, changed_ms) values (?1, ?2, ?3, ?4, ?5)
		on conflict (did) do update set type = ?2, target = ?3, who = ?4, changed_ms = ?5`, u.DID, u.Type, u.Target, u.Who, u.Changed.UnixMilli())
	return err
}

// RemoveDIDUse removes the use of a number, and reports whether it had one.
func (d *Desk) RemoveDIDUse(did string) (removed bool, err error) {
	n, err := d.exec("remove the use of a number", "delete from did_use where did = ?", did)
	return n > 0, err
}

const didUses = "select did, type, target, who, changed_ms from did_use"

// DIDUse returns the use of a number; found is false if it has none.
func (d *Desk) DIDUse(did string) (u DIDUse, found bool, err error) {
	list, err := d.didUses(didUses+" where did = ?", did)
	if len(list) == 0 {
		return u, false, err
	}
	return list[0], true, err
}

// DIDTarget returns what a number is used for, and the target. It implements lookup.DIDs.
func (d *Desk) DIDTarget(did string) (kind, target string, found bool, err error) {
	u, found, err := d.DIDUse(did)
	return u.Type, u.Target, found, err
}

// DIDUses returns the uses of all numbers, in the order of the numbers.
func (d *Desk) DIDUses() ([]DIDUse, error) { return d.didUses(didUses + " order by did") }

func (d *Desk) didUses(query string, args ...any) (list []DIDUse, err error) {
	err = d.all("list uses of numbers", query, args, func(scan func(...any) error) error {
		var u DIDUse
		var changed int64
		err := scan(&u.DID, &u.Type, &u.Target, &u.Who, &changed)
		u.Changed = time.UnixMilli(changed)
		list = append(list, u)
		return err
	})
	return list, err
}
