package dialplan

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 names it for version 5; nothing is signed with it
	"encoding/hex"
	"strings"
)

// Identity names a call among the calls of all Asterisks. Two Asterisks without a
// system name can produce the same linkedid.
type Identity struct {
	// Asterisk is the system name if the linkedid contains one, else the name that the
	// dialplan or the configuration sets for the server, else its entity id. It is empty
	// if none of them is known.
	Asterisk string
	LinkedID string
}

// NewIdentity returns the identity of a call. server is the explicit name of the
// Asterisk and entityID its ENTITYID; both may be empty.
func NewIdentity(linkedid, server, entityID string) Identity {
	id := Identity{LinkedID: linkedid, Asterisk: systemName(linkedid)}
	if id.Asterisk == "" {
		id.Asterisk = server
	}
	if id.Asterisk == "" {
		id.Asterisk = entityID
	}
	return id
}

// systemName returns the system name at the beginning of a uniqueid such as pbx-1768469400.17, empty
// if there is none.
func systemName(uniqueid string) string {
	end := strings.LastIndexByte(uniqueid, '-')
	if end <= 0 {
		return ""
	}
	if !isUniqueID(uniqueid[end+1:]) {
		return ""
	}
	return uniqueid[:end]
}

// isUniqueID reports whether a text is a uniqueid without a system name.
func isUniqueID(text string) bool {
	seconds, count, ok := strings.Cut(text, ".")
	return ok && isDigits(seconds) && isDigits(count)
}

func isDigits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// keySeparator separates linkedid and Asterisk in a key.
const keySeparator = " @"

// Key returns the key of the call in the journal: the linkedid, followed by the Asterisk unless the
// linkedid contains it.
func (id Identity) Key() string {
	if id.Asterisk == "" || id.Asterisk == systemName(id.LinkedID) {
		return id.LinkedID
	}
	return id.LinkedID + keySeparator + id.Asterisk
}

// IdentityOf returns the identity whose Key is key. A system name may have the separator in it.
func IdentityOf(key string) Identity {
	system := systemName(key)
	linkedid, asterisk, ok := strings.Cut(key, keySeparator)
	if ok && (system == "" || isUniqueID(linkedid)) {
		return Identity{Asterisk: asterisk, LinkedID: linkedid}
	}
	return Identity{Asterisk: system, LinkedID: key}
}

// callNamespace is the namespace of the UUIDs of calls.
var callNamespace = [16]byte{0x8f, 0x0b, 0x1c, 0x5e, 0x6d, 0x0a, 0x4c, 0x57, 0x9d, 0x3e, 0x52, 0x49, 0x4e, 0x47, 0x48, 0x4b}

// UUID returns the UUID of the call, of version 5, computed from the Asterisk, a slash and the
// linkedid. It is the same on every server.
func (id Identity) UUID() string {
	h := sha1.New() //nolint:gosec // as above
	h.Write(callNamespace[:])
	h.Write([]byte(id.Asterisk + "/" + id.LinkedID))
	var sum [20]byte
	h.Sum(sum[:0])
	sum[6] = sum[6]&0x0f | 0x50
	sum[8] = sum[8]&0x3f | 0x80
	b := make([]byte, 36)
	hex.Encode(b[:8], sum[:4])
	hex.Encode(b[9:13], sum[4:6])
	hex.Encode(b[14:18], sum[6:8])
	hex.Encode(b[19:23], sum[8:10])
	hex.Encode(b[24:], sum[10:16])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b)
}
