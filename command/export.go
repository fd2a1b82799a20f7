package command

import (
	"errors"
	"os"
	"time"

	"ringhook/api"
	"ringhook/conf"
	"ringhook/dialplan"
	"ringhook/hooks"
	"ringhook/lookup"
	"ringhook/store/browse"
	"ringhook/store/desk"
)

type exportCmd struct {
	Number string `arg:"" help:"The number, as a trunk delivers it."`
}

// personReport is everything stored about a number.
type personReport struct {
	Number     string                 `json:"number"`
	Calls      []browse.HeldCall      `json:"calls"`
	Points     []dialplan.PointTrace  `json:"points"`
	Deliveries []*api.DeliveryDetails `json:"deliveries"`
	Cache      []answerReport         `json:"cache"`
	Phonebook  []lookup.Var           `json:"phonebook"`
	Desk       desk.Person            `json:"desk"`
}

// answerReport is a cached answer.
type answerReport struct {
	Lookup    string       `json:"lookup"`
	Stored    time.Time    `json:"stored"`
	Expires   time.Time    `json:"expires"`
	Missing   bool         `json:"missing"`
	Variables []lookup.Var `json:"variables"`
}

// Run prints everything stored about a number, as JSON.
func (c *exportCmd) Run(s *streams) error {
	return withPerson(s, c.Number, func(st *openedStore, cfg *conf.Config, book bookStore, number string, spellings []string) error {
		links := cfg.Recordings.Shown()
		report := personReport{Number: number}
		err := st.person(spellings, func(p browse.Person, show func(int64) (browse.Item, []hooks.Attempt, error)) error {
			hideLinks(p.Calls, links)
			report.Calls, report.Points = append(report.Calls, p.Calls...), append(report.Points, p.Points...)
			for _, d := range p.Deliveries {
				shown, attempts, err := show(d.ID)
				if err != nil && !errors.Is(err, browse.ErrNotFound) {
					return err
				}
				d.Remembered = shown.Remembered
				report.Deliveries = append(report.Deliveries, api.ReportDetails(&d, attempts, links))
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, spelling := range spellings {
			entries, err := st.cache().Show(spelling)
			if err != nil && (st.engine != nil || !errors.Is(err, os.ErrNotExist)) {
				return err
			}
			for _, e := range entries {
				vars, _ := e.Variables()
				report.Cache = append(report.Cache, answerReport{e.Lookup, e.Stored, e.Expires, e.Missing, vars})
			}
		}
		if book != nil {
			if report.Phonebook, err = book.Find(number); err != nil {
				return err
			}
		}
		if report.Desk, err = heldInDesk(st, spellings); err != nil {
			return err
		}
		held := len(report.Calls) + len(report.Points) + len(report.Deliveries) + len(report.Cache) + len(report.Phonebook)
		if held == 0 && len(report.Desk.Commands)+len(report.Desk.Campaigns)+len(report.Desk.Notes)+len(report.Desk.Exceptions) == 0 && !hasDigit(number) {
			return noNumber(c.Number)
		}
		return printJSON(s.out, report)
	})
}

// heldInDesk returns the recorded commands and the campaigns that have the number.
func heldInDesk(st *openedStore, spellings []string) (all desk.Person, err error) {
	err = st.eachDesk(func(d deskStore) error {
		p, err := d.Person(spellings...)
		all.Commands, all.Campaigns = append(all.Commands, p.Commands...), append(all.Campaigns, p.Campaigns...)
		all.Notes, all.Exceptions = append(all.Notes, p.Notes...), append(all.Exceptions, p.Exceptions...)
		return err
	})
	return all, err
}
