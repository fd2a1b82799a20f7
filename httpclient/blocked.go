package httpclient

import (
	"fmt"
	"net/netip"
)

// blocked are networks without receivers and sources. The owner of a DNS zone
// can make a name in the configuration resolve to one of them, so that ringhook
// asks a cloud's metadata service, which returns credentials. Loopback and
// private networks are allowed: PBXs and CRMs have such addresses.
var blocked = []struct {
	network netip.Prefix
	what    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "this host on this network"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, with the metadata services of clouds"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, or broadcast"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "a form of an IPv4 address"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "a form of an IPv4 address"},
	{netip.MustParsePrefix("100::/64"), "for discarding"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	// Metadata services. The others of them are link-local.
	{netip.MustParsePrefix("fd00:ec2::/32"), "the metadata service of AWS"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "the metadata service of Google Cloud"},
	{netip.MustParsePrefix("100.100.100.200/32"), "the metadata service of Alibaba Cloud"},
	{netip.MustParsePrefix("168.63.129.16/32"), "the metadata service of Azure"},
	{netip.MustParsePrefix("fd00:42::42/128"), "the metadata service of Scaleway"},
	{netip.MustParsePrefix("fd00:c1::a9fe:a9fe/128"), "the metadata service of Oracle Cloud"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "a dummy prefix"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// nat64 is the prefix under which a network without IPv4 reaches IPv4 addresses.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// checkAddr returns why an address is never connected to, nil if it may be.
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
	// The rest of ::/96, except ::1, is the oldest form of an IPv4 address in
	// IPv6.
	if b := plain.As16(); plain.Is6() && [12]byte(b[:12]) == [12]byte{} && !plain.IsLoopback() {
		return fmt.Errorf("%v is never connected to: it is a form of an IPv4 address", addr)
	}
	return nil
}

// permitted returns the addresses that may be connected to, and an error if
// there are none.
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
