package yemot

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"ringhook/control"
	"ringhook/lookup"
	"ringhook/store/desk"
)

// contextsAnswer is the answer to SipGetContexts.
type contextsAnswer struct {
	status
	Contexts []contact `json:"contexts"`
}

// contact is where a phone is registered.
type contact struct {
	Endpoint  string `json:"endpoint"`
	Expires   int64  `json:"expiration_time"` // Unix time; 0 for one that does not expire
	URI       string `json:"uri"`
	UserAgent string `json:"user_agent"`
	ViaAddr   string `json:"via_addr"`
	ViaPort   int    `json:"via_port"`
}

// sipPort is that of a Via without one (RFC 3261, 18.2.1).
const sipPort = 5060

// maxAsked is the maximum number of phones whose contacts are asked for by one request.
const maxAsked = 100

// phones returns the phones of chan_pjsip.
func (y *Yemot) phones() ([]control.Phone, error) {
	live := y.pbx.Live()
	if !slices.ContainsFunc(live.Servers, func(s control.Server) bool { return s.Connected }) {
		return nil, refuse("not connected to Asterisk")
	}
	return slices.DeleteFunc(live.Phones, func(p control.Phone) bool { return !strings.HasPrefix(p.Device, "PJSIP/") }), nil
}

func sipContexts(ctx context.Context, y *Yemot, p Params) (any, error) {
	phones, err := y.phones()
	if err != nil {
		return nil, err
	}
	if number := p.Text("accountNumber"); number != "" {
		phones = slices.DeleteFunc(phones, func(p control.Phone) bool { return p.Phone != number })
		if len(phones) == 0 {
			return nil, missing(y.pbx.Live(), "account")
		}
	}
	phones = slices.DeleteFunc(phones, func(p control.Phone) bool { return !p.Registered })
	if len(phones) > maxAsked {
		return nil, refuse("more than %d phones are registered: name one as accountNumber", maxAsked)
	}
	a := contextsAnswer{status: ok, Contexts: []contact{}}
	for i := range phones {
		contacts, err := y.pbx.Contacts(ctx, &phones[i])
		if err != nil {
			return nil, err
		}
		for _, c := range contacts {
			a.Contexts = append(a.Contexts, contextOf(phones[i].Phone, &c))
		}
	}
	return a, nil
}

func contextOf(phone string, c *control.Contact) contact {
	one := contact{Endpoint: phone, URI: c.URI, UserAgent: c.UserAgent, ViaAddr: c.Via, ViaPort: sipPort}
	if host, port, err := net.SplitHostPort(c.Via); err == nil {
		one.ViaAddr = host
		one.ViaPort, _ = strconv.Atoi(port) // 0 if it is not a number
	}
	if c.Expires != nil {
		one.Expires = c.Expires.Unix()
	}
	return one
}

// registeredAnswer is the answer to GetSipAccountsRegisteredStatus.
type registeredAnswer struct {
	status
	Accounts []account `json:"accounts"`
}

// account is a phone. When it was created is known of those that a command created.
type account struct {
	UserName   string     `json:"userName"`
	Created    *time.Time `json:"createdDate"`
	Registered bool       `json:"registered"`
}

func registeredStatus(_ context.Context, y *Yemot, _ Params) (any, error) {
	phones, err := y.phones()
	if err != nil {
		return nil, err
	}
	a := registeredAnswer{status: ok, Accounts: []account{}}
	list, err := y.pbx.Accounts(actor(), "")
	if err != nil && !errors.Is(err, control.ErrAccountsOff) {
		return nil, err
	}
	for i := range phones {
		one := account{UserName: phones[i].Phone, Registered: phones[i].Registered}
		for _, known := range list.Accounts {
			if known.Name == one.UserName && known.Server == phones[i].Server {
				one.Created = &known.Created
			}
		}
		a.Accounts = append(a.Accounts, one)
	}
	return a, nil
}

// usageAnswer is the answer to SetSecondaryDidUsageDescription.
type usageAnswer struct {
	status
	Status bool `json:"status"`
}

const (
	maxDID    = 20
	maxTarget = 80
)

// setDIDUse stores what a number is used for; an empty use removes it. A lookup of the type did answers it.
func setDIDUse(_ context.Context, y *Yemot, p Params) (any, error) {
	did := p.Text("secondaryDidId")
	if did == "" || len(did) > maxDID || lookup.DIDDigits(did) != strings.TrimPrefix(did, "+") {
		return nil, refuse("secondaryDidId must be a number of up to %d digits", maxDID)
	}
	did = lookup.DIDDigits(did)
	usage := p.Text("newUsage")
	if _, given := p["newUsage"]; given && usage == "" {
		if _, err := y.dids.RemoveDIDUse(did); err != nil {
			return nil, err
		}
		return usageAnswer{ok, true}, nil
	}
	kind, target, _ := strings.Cut(usage, ":")
	if kind != "sip" && kind != "goto" || !isTarget(target) {
		return nil, refuse("newUsage must be sip: and an extension, or goto: and a path; letters, digits and _-.*#+/ are possible")
	}
	err := y.dids.SetDIDUse(desk.DIDUse{DID: did, Type: kind, Target: target, Who: actor().Name, Changed: time.Now()})
	if err != nil {
		return nil, err
	}
	return usageAnswer{ok, true}, nil
}

// isTarget reports whether a target can be a value of did_target.
func isTarget(s string) bool {
	return s != "" && len(s) <= maxTarget && strings.IndexFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("_-.*#+/", c)
	}) < 0
}
