package number

import "testing"

func TestSpell(t *testing.T) {
	for _, tc := range []struct{ number, spelling, want string }{
		{"+74951234567", "e164", "+74951234567"},
		{"+74951234567", "plus-less", "74951234567"},
		{"+74951234567", "digits", "74951234567"},
		{"+74951234567", "national", "84951234567"},
		{"+74951234567", "00", "0074951234567"},
		{"+74951234567", "last:9", "951234567"},
		{"+74951234567", "last:15", "74951234567"},
		{"+493012345678", "national", "03012345678"},
		{"+12125550123", "national", "2125550123"},
		{"+12125550123", "international-formatted", "+1 212-555-0123"},
		{"+12125550123", "national-formatted", "(212) 555-0123"},
		{"+493012345678", "international-formatted", "+49 30 12345678"},
		{"+493012345678", "national-formatted", "030 12345678"},
		{"030 12345678", "national-formatted", "030 12345678"},
		{"+493012345678", "sql-like", "%30%12345678"},
		{"+33123456789", "sql-like", "%1%23%45%67%89"},
		{"+12125550123", "sql-like", "%212%555%0123"},
		{"8-495-123", "sql-like", "%8495123"},
		{"anna", "sql-like", "anna"},
		{"8-495-123", "digits", "8495123"},
		{"8-495-123", "national", "8-495-123"},
		{"8-495-123", "00", "8-495-123"},
		{"8-495-123", "plus-less", "8-495-123"},
		{"", "last:9", ""},
		{"101 x5", "digits", "101"},
		{"030 23456701/02", "digits", ""},
		{"030 23456701/02", "last:9", ""},
		{"anna.27", "digits", ""},
		{"1+2345678", "last:7", ""},
		{"+49 30 23456701/02", "last:9", ""},
		{"+", "national", "+"},
	} {
		if got, _ := Spell(tc.number, tc.spelling); got != tc.want {
			t.Errorf("Spell(%q, %s) = %q, want %q", tc.number, tc.spelling, got, tc.want)
		}
	}
}
