package control

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
)

// Phone is a device of an Asterisk.
type Phone struct {
	Server string `json:"server"`
	Phone  string `json:"phone"`
	Device string `json:"device"`
	// State is free, busy, ringing, held, unavailable, invalid or unknown.
	State string `json:"state"`
	// Registered is true if the phone can be called: it has a contact that is not known to be unreachable.
	Registered bool `json:"registered"`
	// Contacts are known of one phone that is asked for by its number, and of chan_pjsip alone.
	Contacts []Contact `json:"contacts,omitempty"`
}

// Contact is where a phone is reached. It never has a password.
type Contact struct {
	URI       string     `json:"uri"`
	UserAgent string     `json:"user_agent,omitempty"`
	Via       string     `json:"via,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"` // absent for one from pjsip.conf
	Status    string     `json:"status"`            // as Asterisk says it: Reachable, Unreachable, NonQualified ...
	RoundTrip float64    `json:"round_trip_ms,omitempty"`
}

// deviceStates are the words for Asterisk's.
var deviceStates = map[string]string{
	"NOT_INUSE": "free", "INUSE": "busy", "BUSY": "busy", "RINGING": "ringing", "RINGINUSE": "ringing", "ONHOLD": "held",
	"UNAVAILABLE": "unavailable", "INVALID": "invalid",
}

// phones are the technologies whose devices are phones; others are queues, parking places and Local channels.
var phones = []string{"PJSIP/", "SIP/", "IAX2/", "SCCP/"}

// device keeps a device's state, from an event or a list.
func (s *state) device(m ami.Message) {
	name := text(m.Get("Device"))
	if !slices.ContainsFunc(phones, func(tech string) bool { return strings.HasPrefix(name, tech) }) {
		return
	}
	s.devices[name] = cmp.Or(deviceStates[m.Get("State")], "unknown")
}

func (s *state) phones(server string) []Phone {
	list := make([]Phone, 0, len(s.devices))
	for device, state := range s.devices {
		registered := state != "unavailable" && state != "invalid" && state != "unknown"
		list = append(list, Phone{Server: server, Phone: phone(device), Device: device, State: state, Registered: registered})
	}
	return list
}

// Contacts returns the contacts of a phone. An empty list is a phone without any, or one of another technology.
func (c *Control) Contacts(ctx context.Context, p *Phone) ([]Contact, error) {
	name, ok := strings.CutPrefix(p.Device, "PJSIP/")
	i := slices.IndexFunc(c.all(), func(s *server) bool { return s.config.Name == p.Server })
	if !ok || i < 0 {
		return nil, nil
	}
	client := c.all()[i].client
	names, err := client.Call(ctx, ami.PhoneContacts, name)
	if err != nil {
		return nil, err
	}
	var contacts []Contact
	for contact := range strings.SplitSeq(names, ",") {
		if contact == "" {
			continue
		}
		var failed error
		read := func(f ami.Function) string {
			value, err := client.Call(ctx, f, contact)
			failed = errors.Join(failed, err)
			return text(value)
		}
		one := Contact{
			URI: read(ami.ContactURI), UserAgent: read(ami.ContactUserAgent), Via: read(ami.ContactVia),
			Expires: some(at(read(ami.ContactExpires))), Status: read(ami.ContactStatus),
		}
		if us, err := strconv.ParseFloat(read(ami.ContactRoundTrip), 64); err == nil {
			one.RoundTrip = us / 1000
		}
		if failed != nil {
			return nil, failed
		}
		contacts = append(contacts, one)
	}
	return contacts, nil
}
