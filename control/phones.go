package control

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/ami"
	"ringhook/dialplan"
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
	// Contacts are those of a phone of chan_pjsip, at most about a minute old; for one phone they are read again.
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
	state := cmp.Or(deviceStates[m.Get("State")], "unknown")
	if s.devices[name] != state {
		s.since[name] = time.Now()
	}
	s.devices[name] = state
}

// keepSince takes over when the states of phones began. What began before the first list is not known.
func (s *state) keepSince(before *state) {
	for device, state := range s.devices {
		switch was := before.devices[device]; was {
		case "":
			delete(s.since, device)
		case state:
			delete(s.since, device)
			if since, known := before.since[device]; known {
				s.since[device] = since
			}
		}
	}
}

func (s *state) phones(server string) []Phone {
	list := make([]Phone, 0, len(s.devices))
	for device, state := range s.devices {
		registered := state != "unavailable" && state != "invalid" && state != "unknown"
		list = append(list, Phone{Server: server, Phone: dialplan.Phone(device, nil), Device: device, State: state, Registered: registered, Contacts: s.contacts[device].list})
	}
	return list
}

// Contacts returns the contacts of a phone as they are now. An empty list is a phone without any, or one of another
// technology. The error is an ami.ErrAway if Asterisk is not connected, or does not answer within a second.
func (c *Control) Contacts(ctx context.Context, p *Phone) ([]Contact, error) {
	i := slices.IndexFunc(c.all(), func(s *server) bool { return s.config.Name == p.Server })
	if i < 0 {
		return nil, nil
	}
	s := c.all()[i]
	if err := s.client.Alive(ctx); err != nil {
		return nil, err
	}
	return s.readContacts(ctx, p.Device)
}

// readContacts asks Asterisk for the contacts of a device.
func (s *server) readContacts(ctx context.Context, device string) ([]Contact, error) {
	name, ok := strings.CutPrefix(device, pjsip)
	if !ok {
		return nil, nil
	}
	return contactsOf(name, func(f ami.Function, name string) (string, error) { return s.client.Call(ctx, f, name) })
}

// contactsOf reads the contacts of an address of record. call returns the value of a function for a name.
func contactsOf(aor string, call func(f ami.Function, name string) (string, error)) ([]Contact, error) {
	names, err := call(ami.PhoneContacts, aor)
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
			value, err := call(f, contact)
			failed = errors.Join(failed, err)
			return text(value)
		}
		one := Contact{
			URI: read(ami.ContactURI), UserAgent: read(ami.ContactUserAgent), Via: read(ami.ContactVia),
			Expires: some(at(read(ami.ContactExpires))), Status: read(ami.ContactStatus),
		}
		if us, err := strconv.ParseFloat(read(ami.ContactRoundTrip), 64); err == nil && us >= 0 && us <= math.MaxInt64 { // JSON has no NaN
			one.RoundTrip = us / 1000
		}
		if failed != nil {
			return nil, failed
		}
		contacts = append(contacts, one)
	}
	return contacts, nil
}

// pjsip is the technology whose contacts are known.
const pjsip = "PJSIP/"

// knownContacts are those of a device, and when they were read.
type knownContacts struct {
	list []Contact
	read time.Time
}

const (
	// contactsEvery is the time after which contacts are read again: no event reports that a registration was
	// refreshed.
	contactsEvery = time.Minute
	// contactsAtOnce is the maximum number of devices that are read in one go, so that commands do not wait.
	contactsAtOnce = 50
	// contactsPause is the time between two such goes.
	contactsPause = time.Second
)

// keepContacts reads the contacts of all phones again and again, until ctx ends. Those of a phone that has just
// registered are read first.
func (s *server) keepContacts(ctx context.Context) {
	tick := time.NewTicker(contactsPause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, device := range s.staleContacts(now) {
				list, err := s.readContacts(ctx, device)
				if ctx.Err() != nil {
					return
				}
				if errors.Is(err, ami.ErrAway) || errors.Is(err, ami.ErrLost) {
					break
				}
				s.mu.Lock()
				if s.state.devices[device] != "" {
					s.state.contacts[device] = knownContacts{list, now}
				}
				s.mu.Unlock()
			}
		}
	}
}

// staleContacts returns the devices whose contacts have to be read, those first of which none are known.
func (s *server) staleContacts(now time.Time) (devices []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for device := range s.state.devices {
		if now.Sub(s.state.contacts[device].read) >= contactsEvery && strings.HasPrefix(device, pjsip) {
			devices = append(devices, device)
		}
	}
	slices.SortFunc(devices, func(a, b string) int {
		return cmp.Or(s.state.contacts[a].read.Compare(s.state.contacts[b].read), strings.Compare(a, b))
	})
	return devices[:min(len(devices), contactsAtOnce)]
}
