package desk

import (
	"database/sql"
	"slices"

	"ringhook/store/mention"
	"ringhook/store/sqlite"
)

// Person holds what is stored about the holder of a number.
type Person struct {
	Commands  []Command        `json:"commands"`
	Campaigns []PersonCampaign `json:"campaigns"`
	Notes     []Note           `json:"notes"` // of agents
	// Exceptions are those of the number itself, not of numbers that begin like it.
	Exceptions []Exception `json:"exceptions"`
}

// PersonCampaign is a place in a campaign's list.
type PersonCampaign struct {
	Campaign string `json:"campaign"`
	CampaignNumber
}

// Person returns what is stored about the holder of a number, given in all its spellings.
func (d *Desk) Person(numbers ...string) (p Person, err error) {
	inDetail, args := sqlite.MentionSQL("detail", numbers)
	inResult, more := sqlite.MentionSQL("result", numbers)
	found, err := d.commands(commandColumns+" where "+inDetail+" or "+inResult+" order by id", append(args, more...))
	for _, c := range found {
		if mention.In([]byte(c.Detail), numbers) || mention.In([]byte(c.Result), numbers) {
			p.Commands = append(p.Commands, c)
		}
	}
	if err != nil {
		return p, err
	}
	for _, number := range numbers {
		err = d.all("list the campaigns of a number", "select campaign, n, number, detail, state, tries, result, call, at_ms from campaign_number where number = ? order by campaign, n", []any{number},
			func(scan func(...any) error) error {
				var c PersonCampaign
				var changed sql.NullInt64
				err := scan(&c.Campaign, &c.N, &c.Number, &c.Detail, &c.State, &c.Tries, &c.Result, &c.Call, &changed)
				c.At = at(changed)
				p.Campaigns = append(p.Campaigns, c)
				return err
			})
		if err != nil {
			return p, err
		}
		notes, err := d.notes("where number = ? order by at_ms", number)
		if err != nil {
			return p, err
		}
		p.Notes = append(p.Notes, notes...)
	}
	exceptions, err := d.Exceptions()
	p.Exceptions = slices.DeleteFunc(exceptions, func(e Exception) bool { return !slices.Contains(numbers, e.Number) })
	return p, err
}

// Erased counts what Erase removed.
type Erased struct {
	Commands int // of which the parameters and the result were removed; that they were given stays
	Numbers  int // of campaigns; those that waited are not called
	Notes    int // of agents
	// Exceptions are removed too, so the number pops again.
	Exceptions int
}

// Erase removes what is stored about the holder of a number, given in all its spellings. A running server learns of it by
// Revision.
func (d *Desk) Erase(numbers ...string) (e Erased, err error) {
	p, err := d.Person(numbers...)
	if err != nil {
		return e, err
	}
	err = d.write("erase a number", func(c *sqlite.Conn) error {
		for _, command := range p.Commands {
			if _, err := c.Exec("update command set detail = '', result = '' where id = ?", command.ID); err != nil {
				return err
			}
		}
		for _, n := range p.Campaigns {
			if _, err := c.Exec("update campaign_number set number = '', detail = '', state = ?3, result = 'erased' where campaign = ?1 and n = ?2", n.Campaign, n.N, NumberDone); err != nil {
				return err
			}
		}
		for _, number := range numbers {
			if _, err := c.Exec("delete from note where number = ?", number); err != nil {
				return err
			}
			if _, err := c.Exec("delete from exception where number = ?", number); err != nil {
				return err
			}
		}
		_, err := c.Exec("update revision set n = n + 1, erased = erased + 1")
		return err
	})
	if err == nil {
		e = Erased{len(p.Commands), len(p.Campaigns), len(p.Notes), len(p.Exceptions)}
	}
	return e, err
}
