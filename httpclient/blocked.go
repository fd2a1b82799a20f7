package httpclient

import (
	"fmt"
	"net/netip"
)

// blocked are networks that no receiver or source lives in. A name in the
// configuration may be made to resolve to one of them by whoever runs its
// zone, to have us ask what a cloud tells its machines about themselves, such as their
// credentials. Loopback and private networks are where PBXs and CRMs live.
var blocked = []struct {
	network netip.Prefix
	what    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this host on this network"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, where clouds keep credentials"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, or broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "an IPv4 address in disguise"},
	{netip.MustParsePrefix("100::/64"), "for discarding"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("fd00:ec2::254/128"), "where a cloud keeps credentials"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// nat64 has the addresses under which a network without IPv4 reaches it.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// checkAddr says why an address is never connected to; nil where it may be.
func checkAddr(addr netip.Addr) error {
	plain := addr.Unmap().WithZone("")
	if nat64.Contains(plain) {
		b := plain.As16()
		plain = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, b := range blocked {
		if b.network.Contains(plain) {
			return fmt.Errorf("%v is never connected to: it is %s", addr, b.what)
		}
	}
	// What is left of ::/96 but for ::1 is the oldest way to write an IPv4
	// address in IPv6.
	if b := plain.As16(); plain.Is6() && [12]byte(b[:12]) == [12]byte{} && !plain.IsLoopback() {
		return fmt.Errorf("%v is never connected to: it is an IPv4 address in disguise", addr)
	}
	return nil
}

// permitted gives those of the addresses that may be connected to, and an
// error where none is left.
func permitted(addrs []netip.Addr) (may []netip.Addr, err error) {
	for _, addr := range addrs {
		if bad := checkAddr(addr); bad != nil {
			err = bad
			continue
		}
		may = append(may, addr)
	}
	if len(may) > 0 {
		return may, nil
	}
	return nil, err
}
