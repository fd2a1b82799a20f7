package switching

import (
	"context"
	"crypto/rand"
	"regexp"
	"strings"

	"ringhook/ami"
)

// Place is where a call goes. Make one with Check.
type Place struct{ context, extension string }

// digits is what a person may ask to be connected with: an extension, a queue, or a number.
var digits = regexp.MustCompile(`^\+?[0-9*#]{1,32}$`)

// Digits reports whether a text can be dialled: at most 32 digits, * and #, after a + or not. All else could
// end a value that is sent to Asterisk, or reach a special extension of the dialplan.
func Digits(number string) bool { return digits.MatchString(number) }

// word is an extension that has a name.
var word = regexp.MustCompile(`^[A-Za-z0-9_.*#+-]{1,79}$`)

// Word reports whether a text can be an extension, of digits or with a name.
func Word(extension string) bool { return word.MatchString(extension) }

// PhoneOf returns the uniqueid of the phone's channel of a transfer's id, "" if it is none.
func PhoneOf(transfer string) string {
	return transfer[:max(0, strings.LastIndexByte(transfer, '-'))]
}

// Check returns the place of a number in a context, if the dialplan has it.
func Check(ctx context.Context, c *ami.Client, dialplan, number string) (Place, error) {
	if !Digits(number) {
		return Place{}, refuse(BadRequest, "%.40q is not an extension, queue or number: at most 32 digits, * and #, after a + or not", number)
	}
	return CheckExtension(ctx, c, dialplan, number)
}

// CheckExtension is Check for an extension that the configuration names, and may be a word.
func CheckExtension(ctx context.Context, c *ami.Client, dialplan, extension string) (Place, error) {
	found, err := c.Exists(ctx, dialplan, extension)
	if err != nil {
		return Place{}, err
	}
	if !found {
		return Place{}, refuse(Unknown, "the dialplan has no extension %s in context %s", extension, dialplan)
	}
	return Place{dialplan, extension}, nil
}

// Blind sends the other end of a phone's call to a place, and ends the phone's part.
func Blind(ctx context.Context, c *ami.Client, id ID, to Place) error {
	k, err := find(ctx, c, id)
	if err != nil {
		return err
	}
	if !k.held {
		// BlindTransfer sets BLINDTRANSFER for the dialplan, as a transfer by the phone's key does.
		_, err = c.Do(ctx, ami.Action{Name: "BlindTransfer", Fields: []ami.Field{
			field("Channel", k.phone.uniqueID), field("Context", to.context), field("Exten", to.extension),
		}})
		return changed(err)
	}
	if k.phone.extension == agentConsult {
		return refuse(State, "the agent talks to the destination of a transfer: complete or cancel it")
	}
	// The phone's h would end the other end's call.
	if err := set(ctx, c, value{k.phone, ami.HeldPartner, departed}); err != nil {
		return changed(err)
	}
	if err := redirect(ctx, c, k.other, to.context, to.extension); err != nil {
		return err
	}
	_, err = c.Do(ctx, ami.Action{Name: "Hangup", Fields: []ami.Field{field("Channel", k.phone.uniqueID)}})
	if gone(err) {
		return nil
	}
	return err
}

// departed is the partner of a phone whose caller was transferred. No channel has this name.
const departed = "none"

// Attend puts the other end of a phone's call on hold, and connects the phone to a place. It returns the id of the
// transfer. If the place does not answer, or ends the conversation, the dialplan connects the two again.
func Attend(ctx context.Context, c *ami.Client, id ID, to Place) (transfer string, err error) {
	k, err := find(ctx, c, id)
	if err != nil {
		return "", err
	}
	if k.held && k.phone.extension == agentConsult {
		return "", refuse(State, "the agent talks to the destination of a transfer: complete or cancel it")
	}
	if err := prepared(ctx, c); err != nil {
		return "", err
	}
	secret := strings.ToLower(rand.Text()[:8])
	err = set(ctx, c,
		value{k.phone, ami.TransferID, secret}, value{k.phone, ami.Consulting, to.extension},
		value{k.phone, ami.ConsultedAt, to.context}, value{k.other, ami.SharedID, secret})
	if err != nil {
		return "", changed(err)
	}
	if k.held {
		err = redirect(ctx, c, k.phone, agentContext, agentConsult)
	} else {
		err = k.part(ctx, c, agentConsult)
	}
	if err != nil {
		return "", err
	}
	return k.phone.uniqueID + "-" + secret, nil
}

// Complete connects the other end with the transfer's destination. If that still rings, the other end waits there.
// The phone's part ends.
func Complete(ctx context.Context, c *ami.Client, device, transfer string) error {
	phone, _, err := consulting(ctx, c, device, transfer)
	if err != nil {
		return err
	}
	// The dialplan does the rest, as it does if the agent hangs up.
	_, err = c.Do(ctx, ami.Action{Name: "Hangup", Fields: []ami.Field{field("Channel", phone.uniqueID)}})
	return changed(err)
}

// Cancel ends the conversation with the transfer's destination, and connects the phone with the other end again.
func Cancel(ctx context.Context, c *ami.Client, device, transfer string) error {
	phone, other, err := consulting(ctx, c, device, transfer)
	if err != nil {
		return err
	}
	// Without its id the destination's channel does not complete the transfer.
	if err := set(ctx, c, value{other, ami.SharedID, ""}, value{phone, ami.TransferID, ""}); err != nil {
		return changed(err)
	}
	return redirect(ctx, c, phone, agentContext, agentBack)
}

// consulting returns the phone and the other end of a transfer that has begun and not ended.
func consulting(ctx context.Context, c *ami.Client, device, transfer string) (phone, other channel, err error) {
	i := len(PhoneOf(transfer))
	if i == 0 {
		return phone, other, refuse(Unknown, "there is no transfer %.60q", transfer)
	}
	all, err := channels(ctx, c)
	if err != nil {
		return phone, other, err
	}
	for _, ch := range all {
		if ch.uniqueID == transfer[:i] && IsOf(ch.name, device) {
			phone = ch
		}
	}
	if phone.name == "" {
		return phone, other, refuse(Unknown, "there is no transfer %.60q", transfer)
	}
	id, err := c.Variable(ctx, phone.uniqueID, ami.TransferID)
	if err != nil {
		return phone, other, changed(err)
	}
	if id == "" || id != transfer[i+1:] {
		return phone, other, refuse(State, "the transfer has ended")
	}
	name, err := c.Variable(ctx, phone.uniqueID, ami.HeldPartner)
	if err != nil {
		return phone, other, changed(err)
	}
	for _, ch := range all {
		if ch.name == name {
			return phone, ch, nil
		}
	}
	return phone, other, refuse(State, "the other end of the call has hung up")
}
