package dialplan

import "strings"

// Phone returns the phone in the name of a device, of a queue's member or of what Dial calls: 101 for 101, PJSIP/101,
// Local/101@agents/n, PJSIP/101/sip:101@host and SIP/101/xyz. Of two names, as in SIP/gateway/101, it is the first one,
// which is the device, unless the second one alone is the phone of an agent. isAgent may be nil.
func Phone(text string, isAgent func(phone string) bool) string {
	text = strings.TrimSpace(text)
	if !strings.ContainsAny(text, "/@:;") {
		return text
	}
	if rest, ok := cutTechnology(text); ok {
		text = rest
	}
	device, more, _ := strings.Cut(text, "/")
	phone := phoneIn(device)
	if second := phoneIn(more); second != "" && (phone == "" || isAgent != nil && !isAgent(phone) && isAgent(second)) {
		return second
	}
	return phone
}

// phoneIn returns the phone in one part of a name, such as 101@agents or sip:101@host;transport=tcp.
func phoneIn(part string) string {
	for _, scheme := range []string{"sip:", "sips:", "tel:"} {
		if len(part) >= len(scheme) && strings.EqualFold(part[:len(scheme)], scheme) {
			part = part[len(scheme):]
		}
	}
	if i := strings.IndexAny(part, "@/;"); i >= 0 {
		part = part[:i]
	}
	return part
}

// cutTechnology returns a name without the technology before it, such as PJSIP/.
func cutTechnology(text string) (rest string, ok bool) {
	technology, rest, ok := strings.Cut(text, "/")
	if !ok || technology == "" || '0' <= technology[0] && technology[0] <= '9' {
		return text, false
	}
	for i := range len(technology) {
		switch c := technology[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_':
		default:
			return text, false
		}
	}
	return rest, true
}
